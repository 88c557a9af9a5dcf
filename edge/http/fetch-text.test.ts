import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { after, describe, test } from "node:test";
import { fetchText } from "./fetch-text.ts";

const server = createServer((request, response) => {
  if (request.url === "/silent") return;
  if (request.url === "/away") response.writeHead(302, { location: "/" }).end();
  else if (request.url === "/broken") response.writeHead(500).end("no");
  else response.end("0123456789");
});
server.listen(0, "127.0.0.1");
await once(server, "listening");
after(() => {
  server.closeAllConnections();
  server.close();
});
const at = (path: string) => `http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`;

describe("the text of an answer", () => {
  test("is read whole up to its bound, and not beyond", async () => {
    assert.equal(await fetchText(at("/"), 10, 5000), "0123456789");
    await assert.rejects(fetchText(at("/"), 9, 5000), /more than expected/);
  });

  test("is not waited for without end, nor looked for elsewhere, nor taken from a failure", async () => {
    await assert.rejects(fetchText(at("/silent"), 10, 50));
    await assert.rejects(fetchText(at("/away"), 10, 5000));
    await assert.rejects(fetchText(at("/broken"), 10, 5000), /500/);
  });
});
