import * as Net from "@moq/net";

// Runs in the browser: what the test asks for by name.

/**
 * Over WebTransport and nothing else to a relay whose certificate has that hash, or, given "asked", whose certificate's
 * hash the client asks for over HTTP; otherwise over WebSocket.
 */
function open(url: string, hash?: string): ReturnType<typeof Net.Connection.connect> {
  if (hash === undefined) return Net.Connection.connect(new URL(url));
  const value = hash === "asked" ? [] : [{ algorithm: "sha-256" as const, value: hash }];
  const webtransport = { serverCertificateHashes: value };
  return Net.Connection.connect(new URL(url), { webtransport, websocket: { enabled: false } });
}
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

const page = {
  /** Publishes pictures of a canvas, one a group, until the tab closes. */
  async publish(url: string, path: string, hash?: string): Promise<{ version: string; transport: string }> {
    const connection = await open(url, hash);
    const broadcast = new Net.Broadcast.Producer();
    connection.publish(Net.Path.from(path), broadcast);
    void (async () => {
      for (let asked = await broadcast.requested(); asked; asked = await broadcast.requested())
        paint(asked.accept());
    })();
    return { version: connection.version, transport: connection.transport };
  },

  /** The first frame of each of the next `count` groups, and when the broadcast was announced. */
  async watch(url: string, path: string, track: string, count: number, hash?: string): Promise<string[]> {
    const connection = await open(url, hash);
    const announced = connection.announced();
    for (let event = await announced.next(); event?.path !== path; event = await announced.next());
    const subscriber = connection.consume(Net.Path.from(path)).subscribe(track, { ordered: true });
    const frames: string[] = [];
    while (frames.length < count) {
      const frame = await (await subscriber.nextGroup())?.readFrame();
      if (frame) frames.push(text(frame.payload));
    }
    connection.close();
    return frames;
  },

  /** Why a session over WebTransport was closed, as the browser tells. */
  async untilClosed(url: string, hash: string): Promise<WebTransportCloseInfo> {
    const value = Uint8Array.from(hash.match(/../g)!, (byte) => Number.parseInt(byte, 16));
    const session = new WebTransport(url, { serverCertificateHashes: [{ algorithm: "sha-256", value }] });
    await session.ready;
    Object.assign(window, { connected: true });
    const { closeCode, reason } = await session.closed;
    return { closeCode: closeCode!, reason: reason! };
  },
};

function paint(track: Net.Track.Producer): void {
  const canvas = document.createElement("canvas");
  const context = canvas.getContext("2d")!;
  let number = 0;
  const next = () => {
    if (track.closed.peek() !== undefined) return;
    context.fillStyle = `hsl(${number * 20} 80% 50%)`;
    context.fillRect(0, 0, canvas.width, canvas.height);
    canvas.toBlob(async (picture) => {
      if (track.closed.peek() !== undefined) return;
      const group = track.appendGroup();
      const payload = new Uint8Array(await picture!.arrayBuffer());
      group.writeFrame({ payload, timestamp: Net.Time.Timestamp.fromMillis(number++ * 33) });
      group.close();
      requestAnimationFrame(next);
    });
  };
  next();
}

Object.assign(window, { page });
export type Page = typeof page;
