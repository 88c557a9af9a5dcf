import assert from "node:assert/strict";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, test } from "node:test";
import type { Peer } from "#modes/live/peer-list.ts";
import { simClock } from "#tests/support/sim-clock.ts";
import { temporaryFolder } from "#tests/support/temporary-folder.ts";
import { followClusterList, lookEveryMs } from "./cluster-list.ts";

/** A server of lists, and what happens to whoever follows one. */
async function scene(answer: (request: IncomingMessage) => [number, Record<string, string>, string]) {
  const requests: IncomingMessage[] = [];
  const server = createServer((request, response) => {
    requests.push(request);
    const [status, headers, body] = answer(request);
    response.writeHead(status, { ...headers, connection: "close" }).end(body);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const clock = simClock();
  const applied: string[][] = [];
  const troubles: unknown[] = [];
  let changed = Promise.withResolvers<void>();
  const told = () => {
    changed.resolve();
    changed = Promise.withResolvers();
  };
  const source = `http://127.0.0.1:${(server.address() as AddressInfo).port}/peers`;
  return {
    clock,
    requests,
    applied,
    troubles,
    follow: () =>
      followClusterList(
        { source, node: "https://me.example/" },
        clock,
        (peers: readonly Peer[]) => {
          applied.push(peers.map(({ url }) => url.host));
          told();
        },
        (error) => {
          troubles.push(error);
          told();
        },
      ),
    /** The next thing that is applied, or goes wrong. */
    next: () => changed.promise,
    [Symbol.dispose]: () => void server.close(),
  };
}

describe("a list of relays that is kept elsewhere", { timeout: 20_000 }, () => {
  test("is fetched with our name, applied when it changes, and asked for again as its cache control says", async () => {
    let version = 1;
    using kept = await scene(({ headers }) =>
      headers["if-none-match"] === `"${version}"`
        ? [304, { "cache-control": "max-age=45" }, ""]
        : [
            200,
            { etag: `"${version}"`, "cache-control": "max-age=45" },
            `["https://relay-${version}.example/"]`,
          ],
    );
    const first = kept.next();
    const stop = kept.follow();
    await first;
    assert.deepEqual(kept.applied, [["relay-1.example"]]);
    assert.equal(kept.requests[0]!.url, "/peers?node=https%3A%2F%2Fme.example%2F");
    await kept.clock.advance(lookEveryMs);
    assert.equal(kept.requests.length, 1);
    version = 2;
    const second = kept.next();
    await kept.clock.advance(lookEveryMs);
    await second;
    assert.equal(kept.requests[1]!.headers["if-none-match"], '"1"');
    assert.deepEqual(kept.applied.at(-1), ["relay-2.example"]);
    stop();
    assert.equal(kept.clock.armed, 0);
  });

  test("that cannot be had or read changes nothing", async () => {
    const answers: [number, Record<string, string>, string][] = [
      [200, {}, '["https://relay.example/"]'],
      [500, {}, "[]"],
      [200, {}, "none today"],
      [200, {}, " ".repeat(2 ** 20 + 1)],
    ];
    using kept = await scene(() => answers.shift()!);
    let next = kept.next();
    const stop = kept.follow();
    await next;
    for (let trouble = 1; trouble <= 3; trouble++) {
      next = kept.next();
      await kept.clock.advance(lookEveryMs);
      await next;
      assert.equal(kept.troubles.length, trouble);
    }
    assert.deepEqual(kept.applied, [["relay.example"]]);
    stop();
  });

  test("may be a file", async () => {
    using folder = temporaryFolder();
    const file = folder.file("peers.json");
    writeFileSync(file, '["tcp://relay.example:4443"]');
    const { promise, resolve, reject } = Promise.withResolvers<readonly Peer[]>();
    const stop = followClusterList({ source: file, node: undefined }, simClock(), resolve, reject);
    assert.deepEqual(
      (await promise).map(({ url }) => url.href),
      ["tcp://relay.example:4443"],
    );
    stop();
  });
});
