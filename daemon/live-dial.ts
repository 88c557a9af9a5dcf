import { getCACertificates } from "node:tls";
import type { Clock } from "#core/clock.ts";
import { dialQuic } from "#edge/quic/dial.ts";
import { dialStreamSocket } from "#edge/stream-socket/dial.ts";
import { type DialOptions, dialWebSocket } from "#edge/websocket/dial.ts";
import type { Dial } from "#modes/live/peers.ts";

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
