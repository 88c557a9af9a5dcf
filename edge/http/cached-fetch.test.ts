import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { simClock } from "#tests/support/sim-clock.ts";
import { assertTrustworthyUrl, CachedFetch } from "./cached-fetch.ts";

/** A cache in front of a server that answers as `answer` says, and what was asked of it. */
function cacheOf(answer: (request: Request) => Response | Promise<Response>) {
  const clock = simClock();
  const asked: Request[] = [];
  const cache = new CachedFetch({
    clock,
    timeoutMs: 1_000,
    maxLength: 10,
    entriesMax: 2,
    freshAtLeastMs: 5_000,
    freshAtMostMs: 60_000,
    async fetch(url, init) {
      const request = new Request(url as string, init);
      asked.push(request);
      return answer(request);
    },
  });
  return { cache, clock, asked };
}

const url = "https://keys.example/a";

describe("an answer that was fetched", () => {
  test("is good as long as it says, and asked about with its tag then", async () => {
    const { cache, clock, asked } = cacheOf((request) =>
      request.headers.get("if-none-match") === '"1"'
        ? new Response(null, { status: 304, headers: { "cache-control": "max-age=20" } })
        : new Response("one", { headers: { "cache-control": "max-age=10", etag: '"1"' } }),
    );
    assert.equal(await cache.text(url), "one");
    await clock.advance(9_999);
    assert.equal(await cache.text(url), "one");
    assert.equal(asked.length, 1);
    await clock.advance(1);
    assert.equal(await cache.text(url), "one");
    assert.equal(asked.length, 2);
    await clock.advance(19_999);
    await cache.text(url);
    assert.equal(asked.length, 2);
  });

  test("is kept a little while where it says nothing, never too long, and not at all where it forbids it", async () => {
    const says: Record<string, string> = { "/none": "", "/ever": "max-age=999999", "/no": "no-store" };
    const { cache, clock, asked } = cacheOf(
      (request) =>
        new Response("x", { headers: { "cache-control": says[new URL(request.url).pathname] ?? "" } }),
    );
    const timesAfter = async (path: string, ms: number) => {
      const before = asked.length;
      await cache.get(`https://keys.example${path}`);
      await clock.advance(ms);
      await cache.get(`https://keys.example${path}`);
      return asked.length - before;
    };
    assert.equal(await timesAfter("/none", 4_999), 1);
    assert.equal(await timesAfter("/no", 0), 2);
    assert.equal(await timesAfter("/ever", 60_000), 2);
  });

  test("is shared by all who ask for it at once, and a 404 is one", async () => {
    const { cache, asked } = cacheOf(async () => new Response(null, { status: 404 }));
    const answers = await Promise.all([cache.get(url), cache.get(url), cache.get(url)]);
    assert.deepEqual(
      answers.map(({ status }) => status),
      [404, 404, 404],
    );
    assert.equal(asked.length, 1);
    await assert.rejects(cache.text(url), /answered 404/);
  });

  test("is none when it is too long, fails, or points elsewhere; and is asked for again then", async () => {
    for (const answer of [() => new Response("x".repeat(11)), () => new Response("x", { status: 503 })]) {
      const { cache, asked } = cacheOf(answer);
      await assert.rejects(cache.get(url), (error: Error) => !error.message.includes("keys.example"));
      await assert.rejects(cache.get(url));
      assert.equal(asked.length, 2);
      assert.equal(asked[0]!.redirect, "error");
    }
  });

  test("makes room for newer ones", async () => {
    const { cache, asked } = cacheOf(() => new Response("x"));
    for (const path of ["a", "b", "c", "a"]) await cache.get(`https://keys.example/${path}`);
    assert.equal(asked.length, 4);
    await cache.get("https://keys.example/c");
    assert.equal(asked.length, 4);
  });
});

test("only TLS and this machine are trusted", () => {
  for (const good of ["https://a.example/x", "http://localhost:1/", "http://127.0.0.1/", "http://[::1]:8/"])
    assertTrustworthyUrl(good);
  for (const bad of [
    "http://a.example/",
    "http://127.0.0.1.a.example/",
    "ftp://localhost/",
    "file:///k",
    "x",
  ])
    assert.throws(() => assertTrustworthyUrl(bad), RangeError, bad);
});
