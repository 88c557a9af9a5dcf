import type { Clock } from "#core/clock.ts";
import { dialStreamSocket } from "#edge/stream-socket/dial.ts";
import { type DialOptions, dialWebSocket } from "#edge/websocket/dial.ts";
import { dialWebTransport } from "#edge/webtransport/dial.ts";
import { loadMoqBinding, type MoqBinding } from "#edge/webtransport/moq-binding.ts";
import { WebTransportUnavailableError } from "#edge/webtransport/webtransport-listener.ts";
import type { Dial } from "#modes/live/peers.ts";
import type { Transport } from "#wire/live/transport.ts";
import type { Config } from "./options.ts";

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
    if (url.protocol === "tcp:" || url.protocol === "unix:")
      return dialStreamSocket(url, options, clock, open);
    return url.protocol.startsWith("ws") ? webSocket(url, open) : either(url, open);
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

function bindingFor({ webtransport, clusterRoot, clusterNode }: Config): MoqBinding | undefined {
  const dials = clusterRoot.length > 0 || clusterNode !== undefined;
  if (!dials || (webtransport !== "auto" && webtransport !== "moq")) return undefined;
  try {
    return loadMoqBinding();
  } catch (error) {
    if (error instanceof WebTransportUnavailableError) return undefined;
    throw error;
  }
}
