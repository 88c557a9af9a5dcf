import assert from "node:assert/strict";
import type { Socket } from "node:net";
import { duplexPair } from "node:stream";
import { describe, test } from "node:test";
import fc from "fast-check";
import { RelayError } from "#core/errors.ts";
import { Reply } from "#wire/http/reply.ts";
import { readBody } from "#wire/http/request.ts";
import { Http1Connection, type Http1Setup } from "./connection.ts";

/** A relay of one route that says back what it was sent. */
const echo: Http1Setup["handler"] = async (request) => {
  try {
    const body = await readBody(request, 1000);
    return new Reply(200, [["x-target", request.edge!.target]], body);
  } catch (error) {
    if (!(error instanceof RelayError)) throw error;
    return new Reply(error.status, [], error.message);
  }
};

/** Everything that a connection answers to these pieces, until it has nothing more to say. */
async function converse(
  pieces: readonly (Uint8Array | string)[],
  handler = echo,
): Promise<{ text: string; failures: unknown[] }> {
  const [client, server] = duplexPair();
  const failures: unknown[] = [];
  const connection = new Http1Connection(
    server as unknown as Socket,
    {
      maxHeaderBytes: 1024,
      headerTimeoutMs: 60_000,
      bodyTimeoutMs: 60_000,
      idleTimeoutMs: 60_000,
      handler,
      sourceOf: () => undefined,
      isUpgradable: () => false,
      upgrade: () => assert.fail("nothing is upgraded"),
      isDraining: () => false,
      report: (error) => failures.push(error),
    },
    performance.now(),
  );
  server.on("data", (chunk) => connection.onData(chunk)).on("close", () => connection.onClose());
  let text = "";
  client.on("data", (chunk) => {
    text += chunk.toString("latin1");
  });
  for (const piece of pieces) {
    if (!client.writable) break;
    client.write(piece);
    await new Promise((resolve) => setImmediate(resolve));
  }
  for (let turn = 0; turn < 12; turn++) await new Promise((resolve) => setImmediate(resolve));
  client.destroy();
  server.destroy();
  return { text: text.replace(/date: [^\r]*\r\n/g, ""), failures };
}

const wire = [
  "POST /1 HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhello",
  "\r\nPOST /2 HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2;x\r\nde\r\n0\r\nt: u\r\n\r\n",
  "GET /3 HTTP/1.1\r\n\r\n",
  "HEAD /4 HTTP/1.1\r\ncontent-length: 2\r\n\r\nhi",
  "POST /5 HTTP/1.1\r\nconnection: close\r\ncontent-length: 1\r\n\r\nzGET /never HTTP/1.1\r\n\r\n",
].join("");

describe("a connection", () => {
  test("carries requests out one after the other, and none after it was asked to close", async () => {
    const { text, failures } = await converse([wire]);
    assert.deepEqual(
      [...text.matchAll(/x-target: (\S+)/g)].map((match) => match[1]),
      ["/1", "/2", "/3", "/4", "/5"],
    );
    assert.ok(text.includes("content-length: 5\r\n\r\nhelloHTTP/1.1 200"));
    assert.ok(text.endsWith("connection: close\r\n\r\nz"));
    assert.deepEqual(failures, []);
  });

  test("answers the same however the bytes are cut", async () => {
    const { text: expected } = await converse([wire]);
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(wire.length), { maxLength: 15 }), async (points) => {
        const at = [0, ...points.sort((a, b) => a - b), wire.length];
        const pieces = at.slice(1).map((point, index) => wire.slice(at[index], point));
        assert.equal((await converse(pieces)).text, expected);
      }),
      { numRuns: 60 },
    );
  });

  test("answers or closes on any bytes, and nothing of ours fails", async () => {
    const token = fc.constantFrom(
      "GET ",
      "POST ",
      "/a",
      " HTTP/1.1",
      " HTTP/1.0",
      "\r\n",
      "\r\n\r\n",
      "content-length: 3",
      "transfer-encoding: chunked",
      "3\r\nabc\r\n",
      "0\r\n\r\n",
      ":",
      "expect: 100-continue",
      "\0",
      "connection: close",
    );
    const bytes = fc.array(fc.oneof({ weight: 4, arbitrary: token }, fc.string({ maxLength: 4 })), {
      maxLength: 14,
    });
    await fc.assert(
      fc.asyncProperty(bytes, async (parts) => {
        const { text, failures } = await converse(parts);
        assert.deepEqual(failures, []);
        assert.match(text, /^(HTTP\/1\.1 (100|200|400|408|413|431|505) |$)/);
      }),
      { numRuns: 300 },
    );
  });

  test("asks for a body that waits to be asked for, once", async () => {
    const { text } = await converse([
      "POST /a HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n",
      "hi",
    ]);
    assert.match(text, /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 OK\r\n[\s\S]*hi$/);
  });

  test("a refused body is not asked for, and ends the connection with the answer", async () => {
    const { text } = await converse([
      "POST /a HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 2000\r\n\r\n",
    ]);
    assert.match(text, /^HTTP\/1\.1 413 [\s\S]*connection: close/);
  });

  test("an answer that never has a body tells no length", async () => {
    const { text } = await converse(["GET / HTTP/1.1\r\n\r\n"], async () => new Reply(204, []));
    assert.match(text, /^HTTP\/1\.1 204 /);
    assert.ok(!text.includes("content-length"));
  });

  test("a header that would end its line never leaves, the answer is a bare 500", async () => {
    const { text, failures } = await converse(
      ["GET / HTTP/1.1\r\n\r\n"],
      async () => new Reply(200, [["x", "a\r\nset-cookie: b"]]),
    );
    assert.match(text, /^HTTP\/1\.1 500 /);
    assert.ok(!text.includes("set-cookie"));
    assert.equal(failures.length, 1);
  });

  test("a handler that reads no body does not make the connection keep it", async () => {
    const { text } = await converse(
      ["POST / HTTP/1.1\r\ncontent-length: 100000\r\n\r\n", "x".repeat(50_000)],
      async () => new Reply(404, []),
    );
    assert.match(text, /^HTTP\/1\.1 404 [\s\S]*connection: close/);
  });
});
