import type { Clock } from "#core/clock.ts";
import { dialStreamSocket } from "#edge/stream-socket/dial.ts";
import { type DialOptions, dialWebSocket } from "#edge/websocket/dial.ts";
import type { Dial } from "#modes/live/peers.ts";

/** How other relays are dialled: the scheme of the URL says. */
export const dialBy =
  (options: DialOptions, clock: Clock): Dial =>
  (url, open) =>
    url.protocol === "tcp:" || url.protocol === "unix:"
      ? dialStreamSocket(url, options, clock, open)
      : dialWebSocket(url, options, clock, open);
