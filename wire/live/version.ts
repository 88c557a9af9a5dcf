/** A version of moq-lite. */
export type LiteVersion = 1 | 2 | 3 | 4 | 5;

/** How a WebSocket carries streams. */
export type Framing = "qmux-02" | "qmux-01" | "qmux-00" | "webtransport";

/** Frames of class A (moq-lite 01 to 04) are size and payload; those of class B (05) have a timestamp in front. */
export type FrameClass = "A" | "B";

export const frameClassOf = (version: LiteVersion): FrameClass => (version >= 5 ? "B" : "A");

/** Numbers of the versions that SETUP chooses from. */
export const setupVersions: readonly { id: number; version: LiteVersion }[] = [
  { id: 0xff0dad02, version: 2 },
  { id: 0xff0dad01, version: 1 },
];

const framings: readonly Framing[] = ["qmux-02", "qmux-01", "qmux-00"];

/** What a name in a handshake stands for; without a version, SETUP decides. */
export interface NamedVersion {
  name: string;
  version: LiteVersion | undefined;
}

/** Names of the versions in a handshake, what we like best first. */
export const liteNames: readonly NamedVersion[] = [
  { name: "moq-lite-05", version: 5 },
  { name: "moq-lite-04", version: 4 },
  { name: "moq-lite-03", version: 3 },
  { name: "moql", version: undefined },
];

/** What a WebSocket subprotocol stands for; without a version, SETUP decides. */
export interface Subprotocol {
  name: string;
  framing: Framing;
  version: LiteVersion | undefined;
}

/** All we speak over WebSocket, what we like best first. */
export const subprotocols: readonly Subprotocol[] = [
  ...liteNames.flatMap(({ name, version }) =>
    framings.map((framing) => ({ name: `${framing}.${name}`, framing, version })),
  ),
  ...framings.map((framing) => ({ name: framing, framing, version: undefined })),
  { name: "webtransport", framing: "webtransport", version: undefined },
];

/** The first of ours that the client offers; `undefined` if it offers none we know. */
export function chooseSubprotocol(offered: Iterable<string>): Subprotocol | undefined {
  const offers = new Set(offered);
  return subprotocols.find((known) => offers.has(known.name));
}

/** What a client speaks that offers nothing at all. */
export const legacySubprotocol: Subprotocol = subprotocols[subprotocols.length - 1]!;
