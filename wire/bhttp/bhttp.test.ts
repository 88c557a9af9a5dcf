import assert from "node:assert/strict";
import { test } from "node:test";
import { BHttpDecoder, BHttpEncoder } from "bhttp-js";
import fc from "fast-check";
import vectors from "#protocol/vectors/bhttp.json" with { type: "json" };
import { decodeBinaryHttp } from "./decode.ts";
import { encodeBinaryHttp } from "./encode.ts";
import { BinaryHttpError, type BinaryMessage } from "./message.ts";

const bytesOf = (hex: string) => new Uint8Array(Buffer.from(hex, "hex"));
const hexOf = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
const text = (bytes: Uint8Array) => new TextDecoder("latin1").decode(bytes);

function readable(message: BinaryMessage) {
  return { ...message, content: text(message.content) };
}

const hello = {
  kind: "request" as const,
  method: "GET",
  scheme: "https",
  authority: "",
  path: "/hello.txt",
  headers: [
    ["user-agent", "curl/7.16.3 libcurl/7.16.3 OpenSSL/0.9.7l zlib/1.2.3"],
    ["host", "www.example.com"],
    ["accept-language", "en, mi"],
  ] as const,
  content: new Uint8Array(),
};

test("the request of RFC 9292, 5.1 is written byte for byte, in both forms", () => {
  assert.equal(hexOf(encodeBinaryHttp(hello)), vectors.figure8);
  const indeterminate = encodeBinaryHttp(hello, { length: "indeterminate", padTo: (length) => length + 10 });
  assert.equal(hexOf(indeterminate), vectors.figure9);
});

test("the request of RFC 9292, 5.1 is read, in both forms, padded and cut short", () => {
  for (const hex of [
    vectors.figure8,
    vectors.figure9,
    vectors.figure8.slice(0, -4),
    vectors.figure9.slice(0, -24),
  ]) {
    assert.deepEqual(readable(decodeBinaryHttp(bytesOf(hex))), { ...hello, content: "" });
  }
});

test("the responses of RFC 9292, 5.2 are read and written again", () => {
  const long = decodeBinaryHttp(bytesOf(vectors.figure11));
  assert.equal(long.kind, "response");
  assert.deepEqual(long.kind === "response" && long.informational?.map(({ status }) => status), [102, 103]);
  assert.equal(text(long.content), "Hello World! My content includes a trailing CRLF.\r\n");
  assert.equal(hexOf(encodeBinaryHttp(long, { length: "indeterminate" })), vectors.figure11);
  const short = decodeBinaryHttp(bytesOf(vectors.figure13));
  assert.deepEqual(readable(short), {
    kind: "response",
    status: 200,
    headers: [],
    content: "This content contains CRLF.\r\n",
    trailers: [["trailer", "text"]],
  });
  assert.equal(hexOf(encodeBinaryHttp(short)), vectors.figure13);
});

const token = fc.stringMatching(/^[a-z0-9-]{1,12}$/);
const value = fc.stringMatching(/^[!-~]([ -~]{0,20}[!-~])?$/);
const fields = fc.array(fc.tuple(token, value), { maxLength: 4 });
const body = { headers: fields, content: fc.uint8Array({ maxLength: 300 }) };
const anyMessage = fc.oneof(
  fc.record({
    kind: fc.constant("request" as const),
    method: fc.constantFrom("GET", "POST", "DELETE"),
    scheme: fc.constantFrom("http", "https"),
    authority: fc.constantFrom("", "relay.test"),
    path: fc.webPath(),
    ...body,
  }),
  fc.record({ kind: fc.constant("response" as const), status: fc.integer({ min: 200, max: 599 }), ...body }),
);

test("what is written is read back, whatever the form and the padding", () => {
  fc.assert(
    fc.property(anyMessage, fc.boolean(), fc.nat(64), (message, known, padding) => {
      const length = known ? ("known" as const) : ("indeterminate" as const);
      const bytes = encodeBinaryHttp(message, { length, padTo: (size) => size + padding });
      assert.deepEqual(readable(decodeBinaryHttp(bytes)), readable(message));
    }),
  );
});

test("a message that is cut short anywhere is refused or reads as one whose rest is empty", () => {
  const whole = bytesOf(vectors.figure13);
  for (let length = 0; length < whole.byteLength; length++) {
    try {
      const message = decodeBinaryHttp(whole.subarray(0, length));
      assert.ok(message.headers.length === 0 && (message.trailers ?? []).length === 0);
    } catch (error) {
      assert.ok(error instanceof BinaryHttpError);
    }
  }
});

test("any bytes are read or refused, and nothing else happens", () => {
  const mutated = fc
    .tuple(fc.constantFrom(...Object.values(vectors)), fc.nat(), fc.nat(255))
    .map(([hex, at, byte]) => {
      const bytes = bytesOf(hex);
      bytes[at % bytes.byteLength] = byte;
      return bytes;
    });
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), mutated), (bytes) => {
      try {
        const message = decodeBinaryHttp(bytes);
        assert.deepEqual(readable(decodeBinaryHttp(encodeBinaryHttp(message))), readable(message));
      } catch (error) {
        if (!(error instanceof BinaryHttpError)) throw error;
      }
    }),
    { numRuns: 2000 },
  );
});

test("messages that HTTP does not allow are refused", () => {
  const refused = {
    "no such framing": "04",
    "a pseudo-field": "0140c8083a6d6574686f6401610000",
    "an upper-case name": "0140c80403466f6f01610000",
    "a line break in a value": "0140c8060166030d0a610000",
    "status 600": "0142580000",
    "status 99": "014063",
    "padding that is not zero": "0140c800000001",
    "a method with a space": "0003474520047474707300012f",
  };
  for (const [what, hex] of Object.entries(refused))
    assert.throws(() => decodeBinaryHttp(bytesOf(hex)), BinaryHttpError, what);
});

test("another implementation reads what we write, and we read what it writes", async () => {
  const ours = encodeBinaryHttp({
    ...hello,
    authority: "www.example.com",
    headers: [["accept-language", "en, mi"]],
  });
  const read = new BHttpDecoder().decodeRequest(ours);
  assert.equal(read.method, "GET");
  assert.equal(read.url, "https://www.example.com/hello.txt");
  assert.equal(read.headers.get("accept-language"), "en, mi");
  const theirs = await new BHttpEncoder().encodeResponse(
    new Response("body", { status: 404, headers: { "x-note": "theirs" } }),
  );
  const message = decodeBinaryHttp(new Uint8Array(theirs));
  assert.equal(message.kind === "response" && message.status, 404);
  assert.ok(message.headers.some(([name, value]) => name === "x-note" && value === "theirs"));
  assert.equal(text(message.content), "body");
});
