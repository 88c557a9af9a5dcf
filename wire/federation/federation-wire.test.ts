import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { systemEntropy } from "#core/clock.ts";
import { simEntropy } from "#tests/support/sim-clock.ts";
import { pad } from "#wire/mailbox/padding.ts";
import { decodeFrame, encodeFrame } from "./frame.ts";
import { encodeMessage, type PeerMessage, parseMessage } from "./message.ts";

const drainAck = '{"version":1,"message_id":"m","timestamp":1000,"payload":{"type":"DrainAck"}}';
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");

describe("frames between relays", () => {
  test("are as the protocol's vector has them", () => {
    const frame = encodeFrame(drainAck, simEntropy());
    assert.equal(frame.byteLength, 256);
    assert.equal(hex(frame.subarray(0, 8)), "000000510000004d");
    assert.equal(new TextDecoder().decode(frame.subarray(8, 85)), drainAck);
    assert.equal(encodeMessage({ type: "DrainAck" }, "m", 1000), drainAck);
  });

  test("are read padded and as the first relays sent them", () => {
    const json = new TextEncoder().encode(drainAck);
    const bare = Uint8Array.of(0, 0, 0, json.byteLength, ...json);
    assert.equal(decodeFrame(bare), drainAck);
    assert.equal(decodeFrame(pad(bare, 4096, systemEntropy)), drainAck);
  });

  test("that are cut, lie about their length or are not UTF-8 are none", () => {
    const frame = encodeFrame(drainAck, simEntropy());
    for (const length of [0, 3, 7, 8, 9, 84]) assert.equal(decodeFrame(frame.subarray(0, length)), undefined);
    for (const at of [3, 7]) {
      const wrong = frame.slice();
      wrong[at]! += 1;
      assert.equal(decodeFrame(wrong), undefined);
    }
    const latin = frame.slice();
    latin[20] = 0xff;
    assert.equal(decodeFrame(latin), undefined);
  });

  test("of any bytes are read or passed over", () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => void decodeFrame(bytes)));
    fc.assert(
      fc.property(fc.json(), (json) => {
        const message = parseMessage(json);
        assert.ok(message === undefined || typeof message.type === "string");
      }),
    );
  });
});

describe("messages between relays", () => {
  const offload: PeerMessage = {
    type: "OffloadBlob",
    blob_id: "b",
    routing_id: "r",
    data: Uint8Array.of(0, 255, 7),
    created_at_secs: 5,
    integrity_hash: "h",
    hop_count: 0,
  };

  test("come back as they went", () => {
    const messages: PeerMessage[] = [
      offload,
      { type: "PeerHandshake", relay_id: "a", version: 1, listen_addr: "" },
      { type: "OffloadAck", blob_id: "b", accepted: false, reason: "no" },
      { type: "OffloadAck", blob_id: "b", accepted: true, reason: null },
      { type: "CapacityReport", used_bytes: 1, max_bytes: 2, blob_count: 3 },
      { type: "DrainNotice", drain_timeout_secs: 300 },
    ];
    for (const message of messages) assert.deepEqual(parseMessage(encodeMessage(message, "m", 1)), message);
    assert.match(encodeMessage(offload, "m", 1), /"data":\[0,255,7\]/);
  });

  test("with a member missing, of another type or out of range are none", () => {
    const { data: _, ...plain } = offload as Record<string, unknown>;
    const read = (payload: unknown) => parseMessage(JSON.stringify({ payload }));
    assert.ok(read({ ...plain, data: [1, 2] }));
    for (const wrong of [
      plain,
      { ...plain, data: "AQI=" },
      { ...plain, data: [256] },
      { ...plain, data: [-1] },
      { ...plain, data: [1.5] },
      { ...plain, data: [1], hop_count: -1 },
      { ...plain, data: [1], blob_id: 7 },
      { type: "PeerAdvertisement", peers: [] },
      { type: "toString" },
      { type: ["DrainAck"] },
      null,
    ]) {
      assert.equal(read(wrong), undefined);
    }
    for (const json of ["", "null", "[]", "7", "{}", '{"payload":7}'])
      assert.equal(parseMessage(json), undefined);
  });
});
