import type { WebSocket } from "ws";
import type { Clock } from "#core/clock.ts";
import type { PeerLink, PeerSession } from "#wire/federation/peer-link.ts";

/** Any message keeps a connection of the original alive, which would else be dropped after a minute of silence. */
const pingEveryMs = 20_000;
/** Bytes that wait to be sent before a peer counts as too slow. */
const backlogMaxBytes = 32 * 2 ** 20;
const closeGraceMs = 1000;

/** Says that this side goes away; whoever has not answered after `graceMs` is not waited for. */
export function endSocket(socket: WebSocket, graceMs: number, clock: Clock): void {
  const cancel = clock.after(graceMs, () => socket.terminate());
  socket.once("close", cancel);
  socket.close(1001);
}

/** Carries frames between a WebSocket and the session that `open` gives; without one it is closed. */
export function servePeer(
  socket: WebSocket,
  open: (link: PeerLink) => PeerSession | undefined,
  clock: Clock,
): void {
  const link: PeerLink = {
    send(frame) {
      if (socket.readyState !== socket.OPEN) return;
      if (socket.bufferedAmount > backlogMaxBytes) return socket.terminate();
      socket.send(frame, { binary: true });
    },
    close: () => endSocket(socket, closeGraceMs, clock),
  };
  // What goes wrong ends in "close".
  socket.on("error", () => {});
  const session = open(link);
  if (!session) {
    link.close();
    return;
  }
  let cancelPing = clock.after(pingEveryMs, function ping() {
    if (session.isEstablished) socket.ping();
    cancelPing = clock.after(pingEveryMs, ping);
  });
  let turn = Promise.resolve();
  let waiting = 0;
  socket.on("message", (data: Buffer, isBinary: boolean) => {
    if (!isBinary) {
      // Text is nothing of the protocol: no greeting, and otherwise passed over.
      if (!session.isEstablished) link.close();
      return;
    }
    // One at a time, in order: a peer is read as fast as its messages are kept.
    socket.pause();
    waiting++;
    turn = turn
      .then(() => session.receive(data))
      .finally(() => {
        if (--waiting === 0) socket.resume();
      });
  });
  socket.on("ping", () => session.heard());
  socket.on("pong", () => session.heard());
  socket.on("close", () => {
    cancelPing();
    session.lost();
  });
}
