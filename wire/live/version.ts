/** A version of moq-lite; 6 is the draft that `@moq/net` calls `moq-lite-06-wip`. */
export type LiteVersion = 1 | 2 | 3 | 4 | 5 | 6;

/** A draft of the IETF's moq-transport. */
export type IetfDraft = 14 | 15 | 16 | 17 | 18 | 19 | 20;

/** What a session speaks. */
export type LiveVersion = LiteVersion | IetfDraft;

export const isIetf = (version: LiveVersion): version is IetfDraft => version >= 14;

/** What a version is called where people read of it, as the original relay writes it. */
export const versionName = (version: LiveVersion): string => {
  if (isIetf(version)) return `moq-transport-${version}`;
  return version === 6 ? draftName : `moq-lite-0${version}`;
};

const draftName = "moq-lite-06-wip";

/** What the first message of a session of this version may bring; without a version it chooses one, too. */
export const setupOf = (
  version: LiveVersion | undefined,
): { beginsWithSetup: boolean; showsTokenInSetup: boolean } => {
  const ietf = version !== undefined && isIetf(version);
  return { beginsWithSetup: version === undefined || ietf, showsTokenInSetup: ietf };
};

/** How a WebSocket carries streams. */
export type Framing = "qmux-02" | "qmux-01" | "qmux-00" | "webtransport";

/**
 * How the frames of a group are written. Class A (moq-lite 01 to 04) is size and payload; B (05, 06) has a timestamp in
 * front; C are the objects of moq-transport up to 16; D those of 17 and later, with a timestamp among their properties.
 */
export type FrameClass = "A" | "B" | "C" | "D";

/** The classes that publishers' groups are kept in: objects become frames as they arrive. */
export type StoredFrameClass = "A" | "B";

export const frameClassOf = (version: LiteVersion): StoredFrameClass => (version >= 5 ? "B" : "A");

export interface SetupVersion<Version extends LiveVersion = LiveVersion> {
  id: number;
  version: Version;
}

/** Numbers of the versions of moq-lite that SETUP chooses from, what we like best first. */
export const liteSetupVersions: readonly SetupVersion<LiteVersion>[] = [
  { id: 0xff0dad02, version: 2 },
  { id: 0xff0dad01, version: 1 },
];

/** All that SETUP chooses from, what we like best first. */
export const setupVersions: readonly SetupVersion[] = [...liteSetupVersions, { id: 0xff00000e, version: 14 }];

const framings: readonly Framing[] = ["qmux-02", "qmux-01", "qmux-00"];
/** From draft 18 on an older framing is not to be used. */
const laterFramings: readonly Framing[] = ["qmux-02", "qmux-01"];

/** What the name of a protocol in a handshake stands for; without a version, SETUP decides. */
export interface ProtocolName {
  name: string;
  version: LiveVersion | undefined;
}

/** Names of the versions in a handshake, what we like best first; with `moql`, SETUP decides. */
export const protocolNames: readonly ProtocolName[] = [
  { name: "moq-lite-05", version: 5 },
  { name: "moq-lite-04", version: 4 },
  { name: "moq-lite-03", version: 3 },
  { name: "moql", version: undefined },
  { name: "moqt-20", version: 20 },
  { name: "moqt-19", version: 19 },
  { name: "moqt-18", version: 18 },
  { name: "moqt-17", version: 17 },
  { name: "moqt-16", version: 16 },
  { name: "moqt-15", version: 15 },
  { name: "moqt-14", version: 14 },
  { name: "moq-00", version: 14 },
];

/** The same with those that are not final, and only spoken where somebody asks for it. */
export const namesWithDrafts: readonly ProtocolName[] = [{ name: draftName, version: 6 }, ...protocolNames];

/** Those of moq-lite alone. */
export const liteNames: readonly (ProtocolName & { version: LiteVersion | undefined })[] =
  protocolNames.filter(
    (known): known is ProtocolName & { version: LiteVersion | undefined } =>
      known.version === undefined || !isIetf(known.version),
  );

/** What a WebSocket subprotocol stands for; without a version, SETUP decides. */
export interface Subprotocol {
  name: string;
  framing: Framing;
  version: LiveVersion | undefined;
}

const framingsOf = (version: LiveVersion | undefined): readonly Framing[] =>
  version !== undefined && version >= 18 ? laterFramings : framings;

/** What `names` are over WebSocket, in their order, with those that have no version. */
export const subprotocolsOf = (names: readonly ProtocolName[]): readonly Subprotocol[] => [
  ...names.flatMap(({ name, version }) =>
    framingsOf(version).map((framing) => ({ name: `${framing}.${name}`, framing, version })),
  ),
  ...framings.map((framing) => ({ name: framing, framing, version: undefined })),
  { name: "webtransport", framing: "webtransport", version: undefined },
];

/** All we speak over WebSocket, what we like best first. */
export const subprotocols = subprotocolsOf(protocolNames);

/** Those of moq-lite alone. */
export const liteSubprotocols: readonly (Subprotocol & { version: LiteVersion | undefined })[] =
  subprotocols.filter(
    (known): known is Subprotocol & { version: LiteVersion | undefined } =>
      known.version === undefined || !isIetf(known.version),
  );

/** The first of ours that the client offers; `undefined` if it offers none we know. */
export function chooseSubprotocol(offered: Iterable<string>, ours = subprotocols): Subprotocol | undefined {
  const offers = new Set(offered);
  return ours.find((known) => offers.has(known.name));
}

/** What a client speaks that offers nothing at all. */
export const legacySubprotocol = liteSubprotocols[liteSubprotocols.length - 1]!;
