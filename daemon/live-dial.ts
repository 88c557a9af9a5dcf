import { getCACertificates } from "node:tls";
import type { Clock } from "#core/clock.ts";
import { dialQuic } from "#edge/quic/dial.ts";
import { dialStreamSocket } from "#edge/stream-socket/dial.ts";
import { type DialOptions, dialWebSocket } from "#edge/websocket/dial.ts";
import type { Dial, Peers } from "#modes/live/peers.ts";
import { followClusterList } from "./cluster-list.ts";
import type { Config } from "./options.ts";
import type { Logger } from "./telemetry.ts";

/** How other relays are dialled: the scheme of the URL says. */
export const dialBy =
  (options: DialOptions, clock: Clock): Dial =>
  (url, open) => {
    switch (url.protocol) {
      case "tcp:":
      case "unix:":
        return dialStreamSocket(url, options, clock, open);
      case "moqt:":
      case "moql:":
        return dialQuic(url, { ...options, ca: getCACertificates() }, clock, open);
      default:
        return dialWebSocket(url, options, clock, open);
    }
  };

/** Starts the links, those of a list that is kept elsewhere among them. Closed with `opening`. */
export function startPeers(
  peers: Peers,
  { clusterConnectApi: source, clusterNode: node }: Config,
  opening: AsyncDisposableStack,
  clock: Clock,
  log: Logger,
): void {
  peers.start();
  if (source === undefined) return;
  const onTrouble = (error: unknown) => {
    const { name, message } = error as Error;
    log.warn({ name, message }, "cluster-connect-api: the list of relays could not be had; the links stay");
  };
  opening.defer(followClusterList({ source, node }, clock, (list) => peers.list(list), onTrouble));
}
