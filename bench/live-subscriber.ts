import { randomBytes } from "node:crypto";
import { connect, type Socket } from "node:net";
import { concatBytes } from "#core/bytes.ts";
import {
  loadMoqBinding,
  type NativeReceive,
  type NativeSend,
  type NativeSession,
} from "#edge/webtransport/moq-binding.ts";
import { encodeType } from "#wire/live/encoder.ts";
import { encodeParameters } from "#wire/live/qmux.ts";
import { encodeClientSetup } from "#wire/live/setup.ts";
import { bidiType, uniType } from "#wire/live/stream-type.ts";
import { encodeSubscribe } from "#wire/live/subscribe.ts";
import { type LiteVersion, liteSetupVersions } from "#wire/live/version.ts";

// Subscribers of bench/live.ts: they count bytes and look for the mark in frames, and cost little.

/** Stands in each frame before the moment it was sent. */
export const mark = randomBytes(8);

export interface Subscriber {
  /** Received so far. */
  readonly bytes: number;
  /** What the session came to speak. */
  readonly version: LiteVersion;
  close(): void;
}

/** `latencies` takes how long each marked frame was on its way, in milliseconds. */
export type Subscribe = (port: number, latencies: number[] | undefined) => Promise<Subscriber>;

const unlimited = 2 ** 40;

function noteLatencies(chunk: Buffer, latencies: number[] | undefined): void {
  if (latencies === undefined) return;
  const now = performance.now();
  for (let at = chunk.indexOf(mark); at >= 0; at = chunk.indexOf(mark, at + mark.length)) {
    if (at + mark.length + 8 <= chunk.length) latencies.push(now - chunk.readDoubleBE(at + mark.length));
  }
}

const subscription = (version: LiteVersion): Uint8Array => {
  const options = {
    priority: 0,
    ordered: false,
    latencyMaxMs: 0,
    startGroup: undefined,
    endGroup: undefined,
  };
  const subscribe = { id: 0, broadcast: "bench", track: "video", ...options };
  return concatBytes(encodeType(bidiType.subscribe), encodeSubscribe(subscribe, version));
};

/** The SETUP of moq-lite 05, without parameters. */
const emptySetup = new Uint8Array([uniType.setup, 1, 0]);

class WebSocketSubscriber implements Subscriber {
  readonly #socket: Socket;
  readonly version = 5;
  bytes = 0;

  constructor(socket: Socket, latencies: number[] | undefined) {
    this.#socket = socket;
    socket.on("data", (chunk: Buffer) => {
      this.bytes += chunk.length;
      noteLatencies(chunk, latencies);
    });
  }

  close(): void {
    this.#socket.destroy();
  }
}

/** moq-lite-05 over qmux-01 on a raw socket. */
export const subscribeOverWebSocket: Subscribe = (port, latencies) =>
  new Promise((resolve, reject) => {
    const socket = connect({ port, host: "127.0.0.1", noDelay: true, allowHalfOpen: false });
    socket.on("error", reject);
    socket.write(
      "GET / HTTP/1.1\r\nhost: relay\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n" +
        `sec-websocket-key: ${randomBytes(16).toString("base64")}\r\nsec-websocket-protocol: qmux-01.moq-lite-05\r\n\r\n`,
    );
    socket.once("data", () => {
      const parameters = encodeParameters(
        {
          idleTimeoutMs: 60_000,
          maxData: unlimited,
          maxStreamDataBidiLocal: unlimited,
          maxStreamDataBidiRemote: unlimited,
          maxStreamDataUni: unlimited,
          maxStreamsBidi: unlimited,
          maxStreamsUni: unlimited,
          recordMaxBytes: 16_382,
          protocols: [],
        },
        true,
      );
      const subscribe = subscription(5);
      const stream = concatBytes(new Uint8Array([0x0a, 0x00, subscribe.length]), subscribe);
      const setup = concatBytes(new Uint8Array([0x0b, 0x02, emptySetup.length]), emptySetup);
      for (const frame of [parameters, setup, stream]) socket.write(masked(frame));
      resolve(new WebSocketSubscriber(socket, latencies));
    });
  });

/** A short binary WebSocket message from a client, masked with zeros. */
const masked = (payload: Uint8Array): Uint8Array =>
  concatBytes(new Uint8Array([0x82, 0x80 | payload.length, 0, 0, 0, 0]), payload);

class WebTransportSubscriber implements Subscriber {
  readonly version: LiteVersion;
  readonly #session: NativeSession;
  readonly #latencies: number[] | undefined;
  /** Open as long as somebody has it: a sending half that is collected is ended. */
  #asked: NativeSend | undefined;
  bytes = 0;

  constructor(session: NativeSession, version: LiteVersion, latencies: number[] | undefined) {
    this.#session = session;
    this.version = version;
    this.#latencies = latencies;
  }

  async ask(): Promise<void> {
    const stream = await this.#session.openBi();
    this.#asked = stream.takeSend();
    await this.#asked.write(Buffer.from(subscription(this.version)));
    void this.read(stream.takeRecv()).catch(() => {});
  }

  async acceptGroups(): Promise<void> {
    for (;;) void this.read(await this.#session.acceptUni()).catch(() => {});
  }

  async read(stream: NativeReceive): Promise<void> {
    for (let chunk = await stream.read(65_536); chunk !== null; chunk = await stream.read(65_536)) {
      this.bytes += chunk.length;
      noteLatencies(chunk, this.#latencies);
    }
  }

  close(): void {
    this.#asked = undefined;
    this.#session.close(0, "done");
  }
}

/** moq-lite-05 where the relay selects it, else moq-lite-02 by SETUP; on the native library, whose threads do the QUIC. */
export const subscribeOverWebTransport: Subscribe = async (port, latencies) => {
  const client = loadMoqBinding().NapiClient.disableVerify();
  const session = await client.connect(`https://127.0.0.1:${port}/`, { protocols: ["moq-lite-05"] });
  const version = session.protocol === "moq-lite-05" ? 5 : 2;
  const subscriber = new WebTransportSubscriber(session, version, latencies);
  void subscriber.acceptGroups().catch(() => {});
  if (version === 5) {
    const setup = await session.openUni();
    await setup.write(Buffer.from(emptySetup));
    await setup.finish();
  } else {
    const setup = await session.openBi();
    await setup.takeSend().write(Buffer.from(encodeClientSetup(liteSetupVersions)));
    await setup.takeRecv().read(65_536);
  }
  await subscriber.ask();
  return subscriber;
};
