import { getCACertificates } from "node:tls";
import type { Clock } from "#core/clock.ts";
import { dialQuic } from "#edge/quic/dial.ts";
import { dialStreamSocket } from "#edge/stream-socket/dial.ts";
import { type DialOptions, dialWebSocket } from "#edge/websocket/dial.ts";
import { dialWebTransport } from "#edge/webtransport/dial.ts";
import { loadMoqBinding, type MoqBinding } from "#edge/webtransport/moq-binding.ts";
import { WebTransportUnavailableError } from "#edge/webtransport/webtransport-listener.ts";
import type { Dial, Peers } from "#modes/live/peers.ts";
import type { Transport } from "#wire/live/transport.ts";
import { followClusterList } from "./cluster-list.ts";
import type { Config } from "./options.ts";
import type { Logger } from "./telemetry.ts";

/** How other relays are dialled: the scheme of the URL says; where it leaves it open, by WebTransport first. */
export function dialBy(config: Config, options: DialOptions, clock: Clock): Dial {
  const binding = bindingFor(config);
  const webSocket: Dial = (url, open) => dialWebSocket(url, options, clock, open);
  const webTransport: Dial | undefined =
    binding && ((url, open) => dialWebTransport(url, options, clock, binding, open));
  const either = webTransport
    ? dialEither(webTransport, webSocket, config.websocketDelayMs, clock)
    : webSocket;
  return (url, open) => {
    switch (url.protocol) {
      case "tcp:":
      case "unix:":
        return dialStreamSocket(url, options, clock, open);
      case "moqt:":
      case "moql:":
        return dialQuic(url, { ...options, ca: getCACertificates() }, clock, open);
      case "ws:":
      case "wss:":
        return webSocket(url, open);
      default:
        return either(url, open);
    }
  };
}

/** Dials `second` as well once `first` has failed or taken `delayMs`, and takes who is there first. */
export function dialEither(first: Dial, second: Dial, delayMs: number, clock: Clock): Dial {
  return async (url, open) => {
    let taken = false;
    const take = (transport: Transport) => {
      if (taken) return turnAway(transport);
      taken = true;
      open(transport);
    };
    const turn = Promise.withResolvers<void>();
    const cancel = clock.after(delayMs, turn.resolve);
    const trying = first(url, take);
    trying.then(cancel, turn.resolve);
    const tryingToo = turn.promise.then(() => (taken ? trying : second(url, take)));
    try {
      await Promise.any([trying, tryingToo]);
    } catch (error) {
      throw (error as AggregateError).errors.at(-1);
    } finally {
      cancel();
    }
  };
}

function turnAway(transport: Transport): void {
  transport.handler = { onUni() {}, onBidi() {}, onPump() {}, onEnd() {} };
  transport.close(0, "");
}

function bindingFor(config: Config): MoqBinding | undefined {
  const { webtransport, clusterRoot, clusterConnectApi, clusterNode } = config;
  const dials = clusterRoot.length > 0 || clusterConnectApi !== undefined || clusterNode !== undefined;
  if (!dials || (webtransport !== "auto" && webtransport !== "moq")) return undefined;
  try {
    return loadMoqBinding();
  } catch (error) {
    if (error instanceof WebTransportUnavailableError) return undefined;
    throw error;
  }
}

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
