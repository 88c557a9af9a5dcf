/** A relay to connect with. */
export interface Peer {
  /** Where, with the token it is shown as `?jwt=`; `cost` is taken out. */
  url: URL;
  /** What a broadcast that comes from there costs us, in crossings of an ordinary link. */
  cost: number;
}

/** What is no peer, or no list of them. Says nothing of the text: there may be tokens in it. */
export class PeerListError extends Error {
  override readonly name = "PeerListError";
}

/** The schemes of relays; what a URL of each may look like is `clusterRoot`'s pattern too. */
export const peerUrlPattern = /^((https?|wss?|tcp|moqt|moql):\/\/\S+|unix:\/\/\/\S+)$/;

const peersMax = 1_000;

/** A URL as an operator writes it; `?cost=N` is ours and goes no further. Throws `PeerListError`. */
export function parsePeer(text: string): Peer {
  if (!peerUrlPattern.test(text) || !URL.canParse(text)) throw new PeerListError("a peer is no URL");
  const url = new URL(text);
  const cost = url.searchParams.get("cost");
  url.searchParams.delete("cost");
  return { url, cost: cost === null ? 1 : parseCost(Number(cost || Number.NaN)) };
}

/** JSON: an array of URLs, or of objects with `url` and perhaps `cost` and `token`. Throws `PeerListError`. */
export function parsePeerList(json: string): Peer[] {
  let list: unknown;
  try {
    list = JSON.parse(json);
  } catch {
    throw new PeerListError("the list of peers is no JSON");
  }
  if (!Array.isArray(list) || list.length > peersMax) throw new PeerListError("the list of peers is no list");
  return list.map((entry: unknown) => (typeof entry === "string" ? parsePeer(entry) : parseEntry(entry)));
}

function parseEntry(entry: unknown): Peer {
  if (typeof entry !== "object" || entry === null) throw new PeerListError("a peer is no URL");
  const { url, cost, egress, token, ...unknown } = entry as Record<string, unknown>;
  if (typeof url !== "string" || Object.keys(unknown).length > 0)
    throw new PeerListError("a peer has other members than url, cost, egress and token");
  const peer = parsePeer(url);
  if (token !== undefined && typeof token !== "string") throw new PeerListError("a token is no text");
  if (token !== undefined) peer.url.searchParams.set("jwt", token);
  if (cost !== undefined) peer.cost = parseCost(cost);
  if (egress !== undefined && egress !== peer.cost) throw new PeerListError("egress differs from cost");
  return peer;
}

function parseCost(cost: unknown): number {
  if (typeof cost === "number" && Number.isInteger(cost) && cost >= 0 && cost < 2 ** 32) return cost;
  throw new PeerListError("a cost is no whole number");
}
