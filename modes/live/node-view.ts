import { clusterPrefixes, stripPrefix } from "./path.ts";
import { nodeUrl, type Peers } from "./peers.ts";
import type { Relay } from "./relay.ts";

/** A relay of the cluster, as the original relay's `/nodes` tells of it. */
export interface NodeView {
  /** Its URL, without credentials. */
  readonly node: string;
  /** Undefined for one that does not announce itself. */
  readonly origin_id: string | undefined;
  readonly announced:
    | { readonly hops: readonly string[]; readonly hop_count: number; readonly cost: number }
    | undefined;
  readonly connections: readonly { readonly id: string; readonly direction: "inbound" | "outbound" }[];
}

/** The relays that this one has links with or has heard of, by URL. */
export function nodesOf(relay: Relay, peers: Peers): NodeView[] {
  const views = new Map<string, { -readonly [K in keyof NodeView]: NodeView[K] }>();
  const viewOf = (name: string) => {
    const known = views.get(name);
    if (known) return known;
    const fresh = {
      node: nodeUrl(name)?.href ?? name,
      origin_id: undefined,
      announced: undefined,
      connections: [],
    };
    views.set(name, fresh);
    return fresh;
  };
  for (const { path, current } of relay.origin.broadcasts) {
    const name = clusterPrefixes.map((prefix) => stripPrefix(prefix, path)).find((suffix) => suffix);
    if (name === undefined || name === peers.ownName) continue;
    const view = viewOf(name);
    const hops = current.hops.map(String);
    view.origin_id = hops[0];
    view.announced = { hops, hop_count: hops.length, cost: current.cost };
    for (const session of relay.sessions) {
      // Only who announces itself over a session is at its other end.
      if (session.source !== current.source || hops.length > 1 || session.transport.role === "client")
        continue;
      view.connections = [...view.connections, { id: session.id, direction: "inbound" }];
    }
  }
  for (const { name, sessionId } of peers.linkedSessions()) {
    const view = viewOf(name);
    if (view.connections.some(({ id }) => id === sessionId)) continue;
    view.connections = [...view.connections, { id: sessionId, direction: "outbound" }];
  }
  return [...views.values()].sort((a, b) => (a.node < b.node ? -1 : 1));
}
