import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import WebSocket from "ws";
import { systemEntropy } from "#core/clock.ts";
import { bucketOf, pad } from "#wire/mailbox/padding.ts";

type Json = Record<string, unknown>;
const encoder = new TextEncoder();

/** A frame as relays of the original write it, made here by hand. */
export function frameOf(payload: Json, isPadded = true): Uint8Array<ArrayBuffer> {
  const json = encoder.encode(JSON.stringify({ version: 1, message_id: "m", timestamp: 1000, payload }));
  const message = new Uint8Array(4 + json.byteLength);
  new DataView(message.buffer).setUint32(0, json.byteLength);
  message.set(json, 4);
  return isPadded ? pad(message, bucketOf(message.byteLength), systemEntropy) : message;
}

export function payloadOf(frame: Uint8Array): Json {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  assert.equal(frame.byteLength, bucketOf(view.getUint32(0)), "a frame has the size of a bucket");
  assert.equal(view.getUint32(0), 4 + view.getUint32(4));
  const json = new TextDecoder().decode(frame.subarray(8, 8 + view.getUint32(4)));
  const envelope = JSON.parse(json) as { version: number; payload: Json };
  assert.equal(envelope.version, 1);
  return envelope.payload;
}

export function offloadOf(routingId: string, data: Uint8Array, more: Json = {}): Json {
  return {
    type: "OffloadBlob",
    blob_id: "8f2d7c1e-0000-4000-8000-000000000001",
    routing_id: routingId,
    data: [...data],
    created_at_secs: Math.floor(Date.now() / 1000),
    integrity_hash: createHash("sha256").update(data).digest("hex"),
    hop_count: 0,
    ...more,
  };
}

/** A connection with a relay on which the test says what it likes. */
export class RawPeer {
  readonly socket: WebSocket;
  readonly #got: Json[] = [];
  #wake: () => void = () => {};
  closed = false;

  constructor(socket: WebSocket) {
    this.socket = socket;
    socket.on("error", () => {});
    socket.on("message", (data: Buffer, isBinary) => {
      assert.ok(isBinary);
      this.#got.push(payloadOf(data));
      this.#wake();
    });
    socket.on("close", () => {
      this.closed = true;
      this.#wake();
    });
  }

  /** Calls a relay, and greets unless told otherwise. */
  static async call(url: string, relayId: string | undefined): Promise<RawPeer> {
    const peer = new RawPeer(new WebSocket(`${url.replace(/^http/, "ws")}/federation`));
    // Rejects with the status of a relay that refuses.
    await once(peer.socket, "open");
    if (relayId === undefined) return peer;
    peer.say({ type: "PeerHandshake", relay_id: relayId, version: 1, listen_addr: "" });
    const { accepted } = await peer.next();
    if (accepted !== true) peer.socket.terminate();
    assert.equal(accepted, true);
    return peer;
  }

  say(payload: Json, isPadded = true): void {
    this.socket.send(frameOf(payload, isPadded));
  }

  /** The next message; rejects if the connection ends before. */
  async next(): Promise<Json> {
    for (;;) {
      const message = this.#got.shift();
      if (message) return message;
      if (this.closed) throw new Error("the connection ended");
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** Says it and resolves to the next answer. */
  async ask(payload: Json): Promise<Json> {
    this.say(payload);
    return this.next();
  }

  async ended(): Promise<void> {
    if (!this.closed) await once(this.socket, "close");
  }

  [Symbol.dispose](): void {
    this.socket.terminate();
  }
}
