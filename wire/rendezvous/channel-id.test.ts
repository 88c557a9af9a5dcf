import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import fc from "fast-check";
import { type ErrorCode, RelayError } from "#core/errors.ts";
import { channelIdMaxBytes, parseChannelId } from "./channel-id.ts";

interface Vector {
  readonly name: string;
  /** The segment on the wire: as ASCII text, or as bytes where it is not. */
  readonly segment?: string;
  readonly segmentHex?: string;
}

const vectors = JSON.parse(
  readFileSync(new URL("../../protocol/vectors/channel-ids.json", import.meta.url), "utf8"),
) as {
  valid: (Vector & { id: string })[];
  invalid: (Vector & { error: "too-long" | "not-utf8" })[];
};

const errorOf: Record<"too-long" | "not-utf8", ErrorCode> = {
  "too-long": "inbox_id_too_long",
  "not-utf8": "id_not_utf8",
};

/** As Node's server hands a path over: one character a byte. */
function onWire({ segment, segmentHex }: Vector): string {
  return segment ?? Buffer.from(segmentHex!, "hex").toString("latin1");
}

function percentEncoded(bytes: Uint8Array): string {
  return [...bytes].map((byte) => `%${byte.toString(16).padStart(2, "0")}`).join("");
}

describe("the id in a path segment", () => {
  for (const vector of vectors.valid) {
    test(`vector: ${vector.name}`, () => {
      assert.equal(parseChannelId(onWire(vector), "inbox_id_too_long"), vector.id);
    });
  }

  for (const vector of vectors.invalid) {
    test(`vector, refused: ${vector.name}`, () => {
      assert.throws(() => parseChannelId(onWire(vector), "inbox_id_too_long"), {
        code: errorOf[vector.error],
      });
    });
  }

  test("the caller says how too long an id is worded", () => {
    const tooLong = "a".repeat(channelIdMaxBytes + 1);
    assert.throws(() => parseChannelId(tooLong, "channel_id_too_long"), { message: "Channel ID too long" });
  });

  test("any text comes back from its encoded bytes, whichever of them are encoded", () => {
    const text = fc.string({ unit: "binary", minLength: 1, maxLength: 64 });
    fc.assert(
      fc.property(text, fc.infiniteStream(fc.boolean()), (id, choices) => {
        const bytes = new TextEncoder().encode(id);
        const segment = [...bytes]
          .map((byte) => {
            const encode = choices.next().value as boolean;
            // A percent sign that stands for itself could join what follows it.
            return encode || byte === 0x25 ? percentEncoded(Uint8Array.of(byte)) : String.fromCharCode(byte);
          })
          .join("");
        assert.equal(parseChannelId(segment, "inbox_id_too_long"), id);
      }),
    );
  });

  test("any bytes are an id within the limit or one of the two refusals, and encoding them changes nothing", () => {
    const outcomeOf = (segment: string): string => {
      try {
        const id = parseChannelId(segment, "inbox_id_too_long");
        assert.ok(new TextEncoder().encode(id).byteLength <= channelIdMaxBytes);
        return `id ${id}`;
      } catch (error) {
        assert.ok(error instanceof RelayError);
        assert.ok(error.code === "inbox_id_too_long" || error.code === "id_not_utf8");
        return error.code;
      }
    };
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 300 }), (bytes) => {
        const raw = Buffer.from(bytes).toString("latin1");
        const outcome = outcomeOf(raw);
        if (!raw.includes("%")) assert.equal(outcomeOf(percentEncoded(bytes)), outcome);
      }),
    );
  });
});
