import { BlockList, isIP, isIPv6, type Socket } from "node:net";

/** Networks that are nobody's own on the internet: a proxy may live there and speak for many. */
const localNetworks: readonly string[] = [
  "127.0.0.0/8",
  "10.0.0.0/8",
  "172.16.0.0/12",
  "192.168.0.0/16",
  "169.254.0.0/16",
  "100.64.0.0/10",
  "::1",
  "fc00::/7",
  "fe80::/10",
];

function blockList(networks: readonly string[]): BlockList {
  const blocked = new BlockList();
  for (const network of networks) {
    const [address = "", prefix] = network.split("/");
    const family = isIPv6(address) ? "ipv6" : "ipv4";
    if (prefix === undefined) blocked.addAddress(address, family);
    else blocked.addSubnet(address, Number(prefix), family);
  }
  return blocked;
}

function covers(networks: BlockList, address: string): boolean {
  return networks.check(address, isIPv6(address) ? "ipv6" : "ipv4");
}

/** `::ffff:192.0.2.1` is `192.0.2.1`, and a zone index or port is nobody's identity. */
function plainAddress(address: string): string | undefined {
  let plain = address
    .trim()
    .replace(/^\[(.*)\](:\d+)?$/, "$1")
    .replace(/%.*$/, "");
  if (/^\d+\.\d+\.\d+\.\d+:\d+$/.test(plain)) plain = plain.slice(0, plain.lastIndexOf(":"));
  plain = plain.replace(/^::ffff:(?=\d+\.)/i, "");
  return isIP(plain) ? plain : undefined;
}

/** The first four groups: one household or one server has a /64, not an address. */
function network64(address: string): string {
  const [head = "", tail] = address.toLowerCase().split("::");
  const before = head === "" ? [] : head.split(":");
  if (tail === undefined) return before.slice(0, 4).join(":");
  const after = tail === "" ? [] : tail.split(":");
  const groups = [
    ...before,
    ...Array<string>(Math.max(0, 8 - before.length - after.length)).fill("0"),
    ...after,
  ];
  return groups
    .slice(0, 4)
    .map((group) => group.replace(/^0+(?=.)/, ""))
    .join(":");
}

/** Finds whose request it is, for shares and rate limits; never for a log. */
export class ClientAddresses {
  readonly #trusted: BlockList | undefined;
  readonly #local = blockList(localNetworks);

  /** Throws a `TypeError` or `RangeError` for what is not an address or a network. */
  constructor(trustedProxies: readonly string[]) {
    this.#trusted = trustedProxies.length === 0 ? undefined : blockList(trustedProxies);
  }

  /** Whose requests come over this connection, unless a trusted proxy says otherwise for one of them. */
  readonly #ofSocket = new WeakMap<Socket, string | undefined>();

  /** The key of a request's client; undefined where the address may be a proxy that speaks for many. */
  sourceOf(socket: Socket, forwardedFor: string | undefined): string | undefined {
    if (this.#trusted && forwardedFor !== undefined) return this.source(socket.remoteAddress, forwardedFor);
    if (this.#ofSocket.has(socket)) return this.#ofSocket.get(socket);
    const source = this.source(socket.remoteAddress, undefined);
    this.#ofSocket.set(socket, source);
    return source;
  }

  /** The client's key; undefined where the address may be a proxy that speaks for many. */
  source(peer: string | undefined, forwardedFor: string | undefined): string | undefined {
    let address = peer === undefined ? undefined : plainAddress(peer);
    if (address === undefined) return undefined;
    if (this.#trusted && forwardedFor !== undefined) {
      // The rightmost address that no trusted proxy added is the one that the last trusted proxy saw.
      const hops = forwardedFor.split(",");
      while (covers(this.#trusted, address) && hops.length > 0) {
        const hop = plainAddress(hops.pop()!);
        if (hop === undefined) break;
        address = hop;
      }
    }
    if (covers(this.#local, address)) return undefined;
    return isIPv6(address) ? network64(address) : address;
  }
}
