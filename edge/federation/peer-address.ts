import { lookup } from "node:dns/promises";
import { BlockList, isIP, isIPv6 } from "node:net";

/** A peer that must not be called: its URL, or what its name stands for. */
export class PeerAddressError extends Error {
  override readonly name = "PeerAddressError";
}

/** Where one process on this machine or in its network is, and what stands for such a place (RFC 6890). */
const notPublic: readonly string[] = [
  "0.0.0.0/8",
  "10.0.0.0/8",
  "100.64.0.0/10",
  "127.0.0.0/8",
  "169.254.0.0/16",
  "172.16.0.0/12",
  "192.0.0.0/24",
  "192.168.0.0/16",
  "198.18.0.0/15",
  "224.0.0.0/4",
  "240.0.0.0/4",
  "::/128",
  "::1/128",
  "64:ff9b::/96",
  "2002::/16",
  "fc00::/7",
  "fe80::/10",
  "ff00::/8",
];

const blocked = new BlockList();
for (const network of notPublic) {
  const [address, bits] = network.split("/");
  blocked.addSubnet(address!, Number(bits), isIPv6(address!) ? "ipv6" : "ipv4");
}

export interface PeerAddress {
  readonly address: string;
  readonly family: 4 | 6;
}

/**
 * The one address at which a peer is called. Every address its name has must be public, unless its host is among
 * `allowPrivate`; nothing is looked up again afterwards, so that the answer cannot change in between. Throws
 * `PeerAddressError`.
 */
export async function peerAddress(url: URL, allowPrivate: readonly string[]): Promise<PeerAddress> {
  if (url.protocol !== "ws:" && url.protocol !== "wss:") throw new PeerAddressError("not a WebSocket URL");
  if (url.username !== "" || url.password !== "") throw new PeerAddressError("credentials in the URL");
  const host = url.hostname.replace(/^\[(.*)\]$/, "$1");
  if (host === "") throw new PeerAddressError("no host");
  const found = await addressesOf(host);
  const isAllowed = allowPrivate.includes(host);
  for (const { address, family } of found) {
    if (!isAllowed && blocked.check(address, family === 6 ? "ipv6" : "ipv4")) {
      throw new PeerAddressError("not a public address");
    }
  }
  return found[0]!;
}

async function addressesOf(host: string): Promise<readonly PeerAddress[]> {
  const literal = isIP(host);
  if (literal !== 0) return [{ address: host, family: literal as 4 | 6 }];
  const found = await lookup(host, { all: true }).catch(() => []);
  if (found.length === 0) throw new PeerAddressError("the name stands for nothing");
  return found as PeerAddress[];
}
