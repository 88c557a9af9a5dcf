/**
 * The rendezvous contract as seen from outside: `/inbox` and `/link` of any relay.
 *
 *     node --test tests/conformance/rendezvous.test.ts                                   this checkout
 *     RELAY_COMMAND=/path/to/http-relay node --test tests/conformance/rendezvous.test.ts  the original
 *     RELAY_URL=http://host:port node --test tests/conformance/rendezvous.test.ts         whatever runs there
 *
 * At a URL, the cases that need special settings, or would sit out its longer waits, are not asked.
 */
import assert from "node:assert/strict";
import { describe } from "node:test";
import { setTimeout as elapse } from "node:timers/promises";
import type { Answer } from "./raw-http.ts";
import { encodeRequest } from "./raw-http.ts";
import { assertAnswer, launchedCase, relayCase, type Scene, sceneOn } from "./relay-case.ts";
import { walkAtRandom } from "./rendezvous-model.ts";

const octets = "application/octet-stream";
const plain = "text/plain; charset=utf-8";
const inboxAllow = "GET,HEAD,POST,DELETE";
const linkAllow = "GET,HEAD,POST";
const readAllow = "GET,HEAD";

const stored = { status: 200, text: "", headers: { "content-type": octets, "content-length": "0" } };
const message = (text: string) => ({ status: 200, text, headers: { "content-type": octets } });
const timedOut = { status: 408, text: "Request timed out", headers: { "content-type": octets } };
const notFound = { status: 404, text: "Not found", headers: { "content-type": octets } };
const tooMany = { status: 503, text: "Too many concurrent requests", headers: { "content-type": octets } };
const tooLarge = {
  status: 413,
  text: "Failed to buffer the request body: length limit exceeded",
  headers: { "content-type": plain },
};
/** An answer of the framework, not of a handler: nothing in it, and no content type. */
const bare = (status: number, allow?: string) => ({
  status,
  text: "",
  headers: { "content-type": undefined, "content-length": "0", allow },
});
const viaLink = (expected: { status: number; text: string; headers: object }, deprecation?: "true") => ({
  ...expected,
  headers: { ...expected.headers, deprecation },
});

/** A wait that ended by itself lasted at least as long as it must; how much longer is the machine's affair. */
function assertLasted(answer: Answer, waitMs: number): void {
  // Timers of both sides round to the millisecond.
  assert.ok(answer.elapsedMs >= waitMs - 5, `ended after ${answer.elapsedMs} ms of ${waitMs}`);
}

/** Ten waiting requests of one kind: as many as an id may have. */
const parkTen = async (scene: Scene, method: string, target: string) => {
  const calls = await Promise.all(Array.from({ length: 10 }, () => scene.start(method, target)));
  await scene.settle();
  assert.ok(calls.every((call) => !call.isAnswered));
  return calls;
};

describe("routes", { concurrency: 8 }, () => {
  relayCase("C01 the root says what it is", {}, async ({ call }) => {
    assertAnswer(await call("GET", "/"), {
      status: 200,
      text: "Http Relay",
      headers: { "content-type": plain, "content-length": "10" },
    });
  });

  relayCase("C02 HEAD of the root has the length and no body", {}, async ({ connection }) => {
    const carrier = await connection();
    // What follows in the pipeline shows that no body was sent in between.
    carrier.send(Buffer.concat([encodeRequest("HEAD", "/"), encodeRequest("GET", "/")]));
    assertAnswer(await carrier.next("HEAD"), { status: 200, text: "", headers: { "content-length": "10" } });
    assertAnswer(await carrier.next("GET"), { status: 200, text: "Http Relay" });
  });

  relayCase("C03 the root can only be read", {}, async ({ call }) => {
    assertAnswer(await call("POST", "/", { body: "x" }), bare(405, readAllow));
    assertAnswer(await call("PUT", "/", { body: "x" }), bare(405, readAllow));
  });

  relayCase(
    "C04 a path that is no route is an empty 404 without a content type",
    {},
    async ({ call, id }) => {
      const a = id();
      for (const path of [
        "/nope",
        "/inbox",
        "/inbox/",
        `/inbox/${a}/`,
        `/inbox/${a}/b`,
        `/Inbox/${a}`,
        `//inbox/${a}`,
        `/link/${a}/ack`,
        `/link/${a}/`,
        "/link",
      ]) {
        assertAnswer(await call("GET", path), bare(404));
        assertAnswer(await call("POST", path, { body: "x" }), bare(404));
      }
    },
  );

  relayCase("C05 a method that nobody knows is not allowed either", {}, async ({ call, id }) => {
    assertAnswer(await call("FOO", `/inbox/${id()}`), bare(405, "GET,HEAD,POST,DELETE"));
  });

  relayCase("C05 an inbox takes no PUT and no PATCH, and says what it takes", {}, async ({ call, id }) => {
    for (const method of ["PUT", "PATCH", "TRACE"]) {
      assertAnswer(await call(method, `/inbox/${id()}`), bare(405, inboxAllow));
    }
  });

  relayCase("C06 a link takes no PUT and no DELETE, and says what it takes", {}, async ({ call, id }) => {
    for (const method of ["PUT", "DELETE", "PATCH"]) {
      assertAnswer(await call(method, `/link/${id()}`), bare(405, linkAllow));
    }
  });

  relayCase("C07 ack and await can only be read", {}, async ({ call, id }) => {
    assertAnswer(await call("POST", `/inbox/${id()}/ack`, { body: "x" }), bare(405, readAllow));
    assertAnswer(await call("DELETE", `/inbox/${id()}/await`), bare(405, readAllow));
  });
});

describe("messages", { concurrency: 8 }, () => {
  relayCase("C08 a stored message is read twice", {}, async ({ call, id }) => {
    const target = `/inbox/${id()}`;
    assertAnswer(await call("POST", target, { body: "hi" }), stored);
    assertAnswer(await call("GET", target), message("hi"));
    assertAnswer(await call("GET", target), message("hi"));
  });

  relayCase("C09 the content type comes back byte for byte", {}, async ({ call, id }) => {
    for (const type of ["application/json; charset=utf-8", 'Text/Plain ;x="y\tz"', "x"]) {
      const target = `/inbox/${id()}`;
      await call("POST", target, { body: "{}", headers: { "content-type": type } });
      assertAnswer(await call("GET", target), { status: 200, text: "{}", headers: { "content-type": type } });
    }
  });

  relayCase("C10 a content type with a non-ASCII byte counts as absent", {}, async ({ call, id }) => {
    const target = `/inbox/${id()}`;
    await call("POST", target, { body: "hi", headers: { "content-type": "text/caf\xe9" } });
    assertAnswer(await call("GET", target), message("hi"));
  });

  relayCase("C11 of two content types the first counts", {}, async ({ call, id }) => {
    const target = `/inbox/${id()}`;
    const headers = [
      ["content-type", "a/first"],
      ["content-type", "b/second"],
    ] as const;
    await call("POST", target, { body: "hi", headers });
    assertAnswer(await call("GET", target), {
      status: 200,
      text: "hi",
      headers: { "content-type": "a/first" },
    });
  });

  relayCase("C12 an empty message is a message", {}, async ({ call, id }) => {
    const target = `/inbox/${id()}`;
    assertAnswer(await call("POST", target, { body: "" }), stored);
    assertAnswer(await call("GET", target), {
      status: 200,
      text: "",
      headers: { "content-type": octets, "content-length": "0" },
    });
  });

  relayCase("C13 a POST that tells no length is an empty message", {}, async ({ call, id }) => {
    const target = `/inbox/${id()}`;
    assertAnswer(await call("POST", target, { framing: "none" }), stored);
    assertAnswer(await call("GET", target), { status: 200, text: "", headers: { "content-length": "0" } });
  });

  relayCase("C14 a content encoding is neither undone nor handed on", {}, async ({ call, id }) => {
    const target = `/inbox/${id()}`;
    const headers = { "content-encoding": "gzip", "x-foo": "1" };
    assertAnswer(await call("POST", target, { body: "not gzip", headers }), stored);
    assertAnswer(await call("GET", target), {
      status: 200,
      text: "not gzip",
      headers: { "content-encoding": undefined, "x-foo": undefined },
    });
  });

  relayCase("C15 a body of 2048 bytes passes and one of 2049 does not", {}, async ({ call, id }) => {
    const target = `/inbox/${id()}`;
    const fitting = "m".repeat(2048);
    assertAnswer(await call("POST", target, { body: fitting }), stored);
    assertAnswer(await call("POST", target, { body: "n".repeat(2049) }), tooLarge);
    assertAnswer(await call("GET", target), message(fitting));
    assertAnswer(await call("POST", `/link/${id()}`, { body: "n".repeat(2049) }), viaLink(tooLarge));
  });

  relayCase("C16 the limit holds for chunked bodies too", {}, async ({ call, id }) => {
    const target = `/inbox/${id()}`;
    const fitting = "m".repeat(2048);
    assertAnswer(await call("POST", target, { body: fitting, framing: "chunked" }), stored);
    assertAnswer(await call("POST", target, { body: "n".repeat(2049), framing: "chunked" }), tooLarge);
    assertAnswer(await call("GET", target), message(fitting));
  });

  relayCase("C17 of a long id and a long body, the body is told", {}, async ({ call }) => {
    assertAnswer(await call("POST", `/inbox/${"i".repeat(257)}`, { body: "x".repeat(3000) }), tooLarge);
    assertAnswer(
      await call("POST", `/link/${"i".repeat(257)}`, { body: "x".repeat(3000) }),
      viaLink(tooLarge),
    );
  });

  relayCase("C66 all 256 byte values come back", {}, async ({ call, id }) => {
    const body = Uint8Array.from({ length: 512 }, (_, at) => at & 0xff);
    for (const framing of ["length", "chunked"] as const) {
      const target = `/inbox/${id()}`;
      await call("POST", target, { body, framing });
      assert.deepEqual(new Uint8Array((await call("GET", target)).body), body);
    }
  });
});

describe("ids", { concurrency: 8 }, () => {
  relayCase("C18 an id of 257 bytes is too long on every route", {}, async ({ call }) => {
    const long = "i".repeat(257);
    const inboxRefusal = { status: 400, text: "Inbox ID too long", headers: { "content-type": octets } };
    assertAnswer(await call("POST", `/inbox/${long}`, { body: "x" }), inboxRefusal);
    assertAnswer(await call("GET", `/inbox/${long}`), inboxRefusal);
    assertAnswer(await call("DELETE", `/inbox/${long}`), inboxRefusal);
    assertAnswer(await call("GET", `/inbox/${long}/ack`), inboxRefusal);
    assertAnswer(await call("GET", `/inbox/${long}/await`), inboxRefusal);
    const linkRefusal = viaLink({
      status: 400,
      text: "Channel ID too long",
      headers: { "content-type": octets },
    });
    assertAnswer(await call("POST", `/link/${long}`, { body: "x" }), linkRefusal);
    assertAnswer(await call("GET", `/link/${long}`), linkRefusal);
  });

  relayCase("C19 the limit of 256 counts decoded bytes", {}, async ({ call, id }) => {
    const asciiId = id().padEnd(256, "i");
    assertAnswer(await call("POST", `/inbox/${asciiId}`, { body: "x" }), stored);
    assertAnswer(await call("GET", `/inbox/${asciiId}`), message("x"));
    const accents = "%C3%A9";
    assertAnswer(await call("POST", `/inbox/${accents.repeat(128)}`, { body: "y" }), stored);
    assertAnswer(await call("GET", `/inbox/${accents.repeat(128)}`), message("y"));
    assertAnswer(await call("POST", `/inbox/${accents.repeat(129)}`, { body: "z" }), {
      status: 400,
      text: "Inbox ID too long",
    });
  });

  relayCase("C20 an encoded slash belongs to the id", {}, async ({ call, id }) => {
    const a = id();
    assertAnswer(await call("POST", `/inbox/${a}%2Fb`, { body: "x" }), stored);
    assertAnswer(await call("GET", `/inbox/${a}%2fb`), message("x"));
    // `a/ack` as an id is not the ack route of `a`.
    assertAnswer(await call("GET", `/inbox/${a}%2Fack/ack`), notFound);
  });

  relayCase("C21 an id is the same however it is encoded", {}, async ({ call, id }) => {
    const a = id();
    assertAnswer(await call("POST", `/inbox/%61x${a}`, { body: "x" }), stored);
    assertAnswer(await call("GET", `/inbox/ax${a}`), message("x"));
    assertAnswer(await call("GET", `/inbox/AX${a}/ack`), notFound);
    // Bytes above 0x7F as they are: the text is Latin-1 on the wire, the bytes are UTF-8.
    assertAnswer(await call("POST", `/inbox/\u00c3\u00a9${a}`, { body: "y" }), stored);
    assertAnswer(await call("GET", `/inbox/%C3%A9${a}`), message("y"));
  });

  relayCase("C22 a plus sign is a plus sign", {}, async ({ call, id }) => {
    const a = id();
    assertAnswer(await call("POST", `/inbox/${a}+b`, { body: "x" }), stored);
    assertAnswer(await call("GET", `/inbox/${a}%2Bb`), message("x"));
    assertAnswer(await call("GET", `/inbox/${a}%20b/ack`), notFound);
  });

  relayCase("C23 a percent sign that encodes nothing stands for itself", {}, async ({ call, id }) => {
    const a = id();
    assertAnswer(await call("POST", `/inbox/${a}%ZZ`, { body: "x" }), stored);
    assertAnswer(await call("GET", `/inbox/${a}%ZZ`), message("x"));
    assertAnswer(await call("GET", `/inbox/${a}%25ZZ`), message("x"));
    assertAnswer(await call("POST", `/inbox/${a}%00%`, { body: "y" }), stored);
    assertAnswer(await call("GET", `/inbox/${a}%00%25`), message("y"));
  });

  relayCase("C24 an id that is not UTF-8 is refused", {}, async ({ call }) => {
    const refusal = {
      status: 400,
      text: "Invalid URL: Invalid UTF-8 in `id`",
      headers: { "content-type": plain, "content-length": "34", deprecation: undefined },
    };
    assertAnswer(await call("GET", "/inbox/%FF"), refusal);
    assertAnswer(await call("POST", "/inbox/%C3", { body: "x" }), refusal);
    assertAnswer(await call("GET", "/inbox/%FF/ack"), refusal);
    assertAnswer(await call("GET", "/link/%ED%A0%80"), refusal);
  });

  relayCase("C25 dots, ack and await are plain ids", {}, async ({ call }) => {
    for (const name of ["..", ".", "ack", "await"]) {
      assertAnswer(await call("POST", `/inbox/${name}`, { body: name }), stored);
      assertAnswer(await call("GET", `/inbox/${name}`), message(name));
      assertAnswer(await call("GET", `/inbox/${name}/ack`), message("false"));
    }
  });

  relayCase("C54 query strings mean nothing", {}, async ({ call, id }) => {
    const a = id();
    assertAnswer(await call("GET", "/?x=1"), { status: 200, text: "Http Relay" });
    assertAnswer(await call("POST", `/inbox/${a}?x=1`, { body: "x" }), stored);
    assertAnswer(await call("GET", `/inbox/${a}?/ack`), message("x"));
    assertAnswer(await call("GET", `/inbox/${a}/ack?`), message("false"));
    assertAnswer(await call("GET", `/link/${a}?id=b`), viaLink(message("x"), "true"));
    assertAnswer(await call("GET", `/inbox/${a}/await?timeout=1`), stored);
    assertAnswer(await call("DELETE", `/inbox/${a}?force`), stored);
    const waiting = await call("POST", `/inbox/${a}`, { body: "y" });
    assertAnswer(waiting, stored);
  });
});

describe("waiting", { concurrency: 16 }, () => {
  relayCase(
    "C26 a read of nothing ends with 408 when the wait is over",
    { waits: "short" },
    async (scene) => {
      const answer = await scene.call("GET", `/inbox/${scene.id()}`);
      assertAnswer(answer, timedOut);
      assertLasted(answer, scene.relay.inboxTimeoutMs);
    },
  );

  relayCase("C27 a waiting read gets the message when it is stored", {}, async (scene) => {
    const target = `/inbox/${scene.id()}`;
    const waiting = await scene.park("GET", target);
    assertAnswer(await scene.call("POST", target, { body: "x", headers: { "content-type": "a/b" } }), stored);
    const expected = { status: 200, text: "x", headers: { "content-type": "a/b" } };
    assertAnswer(await waiting.answer, expected);
    assertAnswer(await scene.call("GET", target), expected);
  });

  relayCase("C28 ack is unknown, then false, then true", {}, async ({ call, id }) => {
    const target = `/inbox/${id()}`;
    assertAnswer(await call("GET", `${target}/ack`), notFound);
    await call("POST", target, { body: "x" });
    assertAnswer(await call("GET", `${target}/ack`), message("false"));
    assertAnswer(await call("DELETE", target), stored);
    assertAnswer(await call("GET", `${target}/ack`), message("true"));
    assertAnswer(await call("HEAD", `${target}/ack`), {
      status: 200,
      text: "",
      headers: { "content-length": "4" },
    });
  });

  relayCase("C29 an ack may be repeated, and one of nothing is not found", {}, async ({ call, id }) => {
    const target = `/inbox/${id()}`;
    await call("POST", target, { body: "x" });
    assertAnswer(await call("DELETE", target), stored);
    assertAnswer(await call("DELETE", target), stored);
    assertAnswer(await call("DELETE", `/inbox/${id()}`), notFound);
  });

  relayCase("C30 an acked message is not read again", { waits: "short" }, async (scene) => {
    const target = `/inbox/${scene.id()}`;
    await scene.call("POST", target, { body: "x" });
    await scene.call("DELETE", target);
    const answer = await scene.call("GET", target);
    assertAnswer(answer, timedOut);
    assertLasted(answer, scene.relay.inboxTimeoutMs);
  });

  relayCase("C31 a new message after an ack is unacked", {}, async ({ call, id }) => {
    const target = `/inbox/${id()}`;
    await call("POST", target, { body: "old" });
    await call("DELETE", target);
    await call("POST", target, { body: "new" });
    assertAnswer(await call("GET", `${target}/ack`), message("false"));
    assertAnswer(await call("GET", target), message("new"));
  });

  relayCase(
    "C32 await of nothing is not found, of an acked message done, both at once",
    {},
    async (scene) => {
      const { call, id, park } = scene;
      assertAnswer(await call("GET", `/inbox/${id()}/await`), notFound);
      const acked = `/inbox/${id()}`;
      await call("POST", acked, { body: "x" });
      await call("DELETE", acked);
      assertAnswer(await call("GET", `${acked}/await`), stored);
      const pending = `/inbox/${id()}`;
      await call("POST", pending, { body: "x" });
      const waiting = await park("GET", `${pending}/await`);
      await call("DELETE", pending);
      assertAnswer(await waiting.answer, stored);
    },
  );

  relayCase("C32 await of an unread message ends with 408", { waits: "short" }, async (scene) => {
    const target = `/inbox/${scene.id()}`;
    await scene.call("POST", target, { body: "x" });
    const answer = await scene.call("GET", `${target}/await`);
    assertAnswer(answer, timedOut);
    assertLasted(answer, scene.relay.inboxTimeoutMs);
  });

  relayCase("C33 await of a replaced message is not found", {}, async ({ call, id, park }) => {
    const target = `/inbox/${id()}`;
    await call("POST", target, { body: "A" });
    const waiting = await park("GET", `${target}/await`);
    await call("POST", target, { body: "B" });
    assertAnswer(await waiting.answer, notFound);
    assertAnswer(await call("GET", `${target}/ack`), message("false"));
    assertAnswer(await call("GET", target), message("B"));
  });

  relayCase("C34 one message wakes everybody who waits for it", {}, async ({ call, id, start, settle }) => {
    const target = `/inbox/${id()}`;
    const waiting = await Promise.all([start("GET", target), start("GET", target), start("GET", target)]);
    await settle();
    await call("POST", target, { body: "x" });
    for (const each of waiting) assertAnswer(await each.answer, message("x"));
  });

  relayCase("C35 ten may wait for one id, the eleventh is refused", {}, async (scene) => {
    const target = `/inbox/${scene.id()}`;
    const waiting = await parkTen(scene, "GET", target);
    assertAnswer(await scene.call("GET", target), tooMany);
    await scene.call("POST", target, { body: "x" });
    for (const each of waiting) assertAnswer(await each.answer, message("x"));
  });

  relayCase("C36 ten may await one ack, the eleventh is refused and reads still work", {}, async (scene) => {
    const target = `/inbox/${scene.id()}`;
    await scene.call("POST", target, { body: "x" });
    const waiting = await parkTen(scene, "GET", `${target}/await`);
    assertAnswer(await scene.call("GET", `${target}/await`), tooMany);
    assertAnswer(await scene.call("GET", target), message("x"));
    await scene.call("DELETE", target);
    for (const each of waiting) assertAnswer(await each.answer, stored);
  });

  relayCase("C37 a client that hangs up frees its place", { referenceFails: true }, async (scene) => {
    const target = `/inbox/${scene.id()}`;
    for (const gone of await parkTen(scene, "GET", target)) gone.reset();
    await scene.settle();
    const waiting = await scene.park("GET", target);
    await scene.call("POST", target, { body: "x" });
    assertAnswer(await waiting.answer, message("x"));
  });

  relayCase(
    "C38 a wait that is over frees its place",
    { waits: "short", referenceFails: true },
    async (scene) => {
      const target = `/inbox/${scene.id()}`;
      const waited = await Promise.all(Array.from({ length: 10 }, () => scene.call("GET", target)));
      for (const each of waited) assertAnswer(each, timedOut);
      assertAnswer(await scene.call("GET", target), timedOut);
    },
  );

  relayCase(
    "C53 HEAD of a message tells its length; HEAD of nothing waits",
    { waits: "short" },
    async (scene) => {
      const target = `/inbox/${scene.id()}`;
      await scene.call("POST", target, { body: "hello", headers: { "content-type": "a/b" } });
      assertAnswer(await scene.call("HEAD", target), {
        status: 200,
        text: "",
        headers: { "content-length": "5", "content-type": "a/b" },
      });
      assertAnswer(await scene.call("GET", target), { status: 200, text: "hello" });
      const answer = await scene.call("HEAD", `/inbox/${scene.id()}`);
      assertAnswer(answer, { status: 408, text: "", headers: { "content-length": "17" } });
      assertLasted(answer, scene.relay.inboxTimeoutMs);
    },
  );
});

describe("expiry", { concurrency: 8 }, () => {
  launchedCase(
    "C39 an expired message is neither read nor acked",
    { waits: "short", settings: { ttlMs: 500 } },
    async ({ call, id, relay }) => {
      const target = `/inbox/${id()}`;
      await call("POST", target, { body: "x" });
      await elapse(relay.ttlMs + 100);
      assertAnswer(await call("GET", `${target}/ack`), notFound);
      assertAnswer(await call("DELETE", target), notFound);
      assertAnswer(await call("GET", `${target}/await`), notFound);
      assertAnswer(await call("GET", target), timedOut);
    },
  );

  launchedCase(
    "C39 await is told when its message expires, not at some later sweep",
    { referenceFails: true, settings: { ttlMs: 500 } },
    async ({ call, id, relay }) => {
      const target = `/inbox/${id()}`;
      await call("POST", target, { body: "x" });
      const answer = await call("GET", `${target}/await`);
      assertAnswer(answer, notFound);
      // The original answers 15 s after its start.
      assert.ok(performance.now() - relay.startedAt < 14_000, `told after ${answer.elapsedMs} ms`);
    },
  );

  launchedCase(
    "C40 a new message brings a new time to live",
    { settings: { ttlMs: 3000 } },
    async ({ call, id, relay }) => {
      const target = `/inbox/${id()}`;
      await call("POST", target, { body: "old" });
      await elapse(relay.ttlMs * 0.6);
      await call("POST", target, { body: "new" });
      await elapse(relay.ttlMs * 0.6);
      assertAnswer(await call("GET", target), message("new"));
    },
  );

  launchedCase(
    "C41 a read that waits where a message expired goes on waiting",
    { referenceFails: true, settings: { ttlMs: 500 } },
    async ({ call, id, relay, start }) => {
      const target = `/inbox/${id()}`;
      await call("POST", target, { body: "old" });
      await elapse(relay.ttlMs + 100);
      const waiting = await start("GET", target);
      // The original sweeps 15 s after its start, and drops this waiter then.
      await elapse(relay.startedAt + 16_000 - performance.now());
      assert.equal(waiting.isAnswered, false, "answered without a message");
      await call("POST", target, { body: "new" });
      assertAnswer(await waiting.answer, message("new"));
    },
  );
});

describe("link", { concurrency: 16 }, () => {
  relayCase("C42 a link read that waits meets the link POST", {}, async ({ call, id, park }) => {
    const target = `/link/${id()}`;
    const reading = await park("GET", target);
    assertAnswer(await call("POST", target, { body: "x" }), viaLink(stored, "true"));
    assertAnswer(await reading.answer, viaLink(message("x"), "true"));
  });

  relayCase("C43 a link POST that waits meets the link read", {}, async ({ call, id, park }) => {
    const target = `/link/${id()}`;
    const posting = await park("POST", target, { body: "x" });
    assertAnswer(await call("GET", target), viaLink(message("x"), "true"));
    assertAnswer(await posting.answer, viaLink(stored, "true"));
  });

  relayCase("C44 a link read alone ends with 408", { waits: "short" }, async ({ call, id, relay }) => {
    const answer = await call("GET", `/link/${id()}`);
    assertAnswer(answer, viaLink(timedOut));
    assertLasted(answer, relay.linkTimeoutMs);
  });

  relayCase("C45 a link POST alone ends with 408 and leaves nothing", { waits: "short" }, async (scene) => {
    const a = scene.id();
    const answer = await scene.call("POST", `/link/${a}`, { body: "x" });
    assertAnswer(answer, viaLink(timedOut, "true"));
    assertLasted(answer, scene.relay.linkTimeoutMs);
    assertAnswer(await scene.call("GET", `/inbox/${a}`), timedOut);
  });

  relayCase("C46 a link POST that is replaced is told so", {}, async ({ call, id, park }) => {
    const target = `/link/${id()}`;
    const replaced = { status: 404, text: "Entry expired", headers: { "content-type": octets } };
    const first = await park("POST", target, { body: "A" });
    const second = await park("POST", target, { body: "B" });
    assertAnswer(await first.answer, viaLink(replaced, "true"));
    assertAnswer(await call("POST", target.replace("link", "inbox"), { body: "C" }), stored);
    assertAnswer(await second.answer, viaLink(replaced, "true"));
    assertAnswer(await call("GET", target), viaLink(message("C"), "true"));
  });

  relayCase("C47 an inbox ack completes a link POST", {}, async ({ call, id, park, settle }) => {
    const a = id();
    const posting = await park("POST", `/link/${a}`, { body: "x" });
    assertAnswer(await call("GET", `/inbox/${a}`), viaLink(message("x")));
    await settle();
    assert.equal(posting.isAnswered, false, "an inbox read is not an ack");
    assertAnswer(await call("DELETE", `/inbox/${a}`), stored);
    assertAnswer(await posting.answer, viaLink(stored, "true"));
  });

  relayCase("C48 a link read acks an inbox message", {}, async ({ call, id, park }) => {
    const a = id();
    await call("POST", `/inbox/${a}`, { body: "x" });
    const awaiting = await park("GET", `/inbox/${a}/await`);
    assertAnswer(await call("GET", `/link/${a}`), viaLink(message("x"), "true"));
    assertAnswer(await awaiting.answer, stored);
    assertAnswer(await call("GET", `/inbox/${a}/ack`), message("true"));
    await park("GET", `/inbox/${a}`);
  });

  relayCase("C48 one inbox POST serves the inbox read and the link read that wait", {}, async (scene) => {
    const a = scene.id();
    const inboxRead = await scene.start("GET", `/inbox/${a}`);
    const linkReads = await Promise.all([scene.start("GET", `/link/${a}`), scene.start("GET", `/link/${a}`)]);
    await scene.settle();
    assertAnswer(await scene.call("POST", `/inbox/${a}`, { body: "x" }), stored);
    assertAnswer(await inboxRead.answer, message("x"));
    for (const linkRead of linkReads) assertAnswer(await linkRead.answer, viaLink(message("x"), "true"));
    assertAnswer(await scene.call("GET", `/inbox/${a}/await`), stored);
  });

  relayCase("C49 a link keeps the content type", {}, async ({ call, id, park }) => {
    const target = `/link/${id()}`;
    const type = "application/json; charset=utf-8";
    await park("POST", target, { body: "{}", headers: { "content-type": type } });
    assertAnswer(await call("GET", target), { status: 200, text: "{}", headers: { "content-type": type } });
  });

  relayCase("C50 HEAD of a link leaves the message alone", { referenceFails: true }, async (scene) => {
    const target = `/link/${scene.id()}`;
    const posting = await scene.park("POST", target, { body: "x" });
    const looking = await scene.start("HEAD", target);
    await scene.settle();
    if (looking.isAnswered) {
      assertAnswer(await looking.answer, { status: 200, text: "", headers: { "content-length": "1" } });
    }
    assert.equal(posting.isAnswered, false, "the producer is told that its message was taken");
    assertAnswer(await scene.call("GET", target), viaLink(message("x"), "true"));
    assertAnswer(await posting.answer, viaLink(stored, "true"));
  });

  launchedCase(
    "C51 a consumer that vanishes does not take the message along",
    { referenceFails: true, settings: { maxBodySize: 16_000_000 } },
    async ({ call, id, connection, settle, start }) => {
      // More than the kernel's buffers hold: what is not read cannot have been written out.
      const body = "m".repeat(16_000_000);
      const target = `/link/${id()}`;
      const vanishing = await connection();
      vanishing.deafen();
      vanishing.send(encodeRequest("GET", target));
      await settle();
      const posting = await start("POST", target, { body });
      while ((await call("GET", `${target.replace("link", "inbox")}/ack`)).status === 404) await settle();
      await settle();
      vanishing.reset();
      await settle();
      assert.equal(posting.isAnswered, false, "the producer is told 200, and nobody has the message");
      const read = await call("GET", target);
      assertAnswer(read, { status: 200, headers: { "content-length": String(body.length) } });
      assert.ok(read.text === body, "the body differs");
      assertAnswer(await posting.answer, viaLink(stored, "true"));
    },
  );

  relayCase("C52 a consumer that hung up before does not take the message", {}, async (scene) => {
    const target = `/link/${scene.id()}`;
    const gone = await scene.park("GET", target);
    gone.reset();
    await scene.settle();
    const posting = await scene.park("POST", target, { body: "x" });
    assertAnswer(await scene.call("GET", target), viaLink(message("x"), "true"));
    assertAnswer(await posting.answer, viaLink(stored, "true"));
  });

  relayCase("a link message outlives a producer that hangs up", {}, async (scene) => {
    const a = scene.id();
    const posting = await scene.park("POST", `/link/${a}`, { body: "x" });
    posting.reset();
    await scene.settle();
    assertAnswer(await scene.call("GET", `/inbox/${a}`), message("x"));
    assertAnswer(await scene.call("GET", `/link/${a}`), viaLink(message("x"), "true"));
  });
});

describe("browsers", { concurrency: 4 }, () => {
  const vary = "origin, access-control-request-method, access-control-request-headers";
  const origin = "https://app.example";
  const mirrored = (of: string | undefined) => ({
    "access-control-allow-origin": of,
    "access-control-allow-credentials": "true",
    vary,
  });

  launchedCase(
    "C55 without CORS there is no CORS header and no preflight",
    { settings: { cors: false } },
    async ({ call, id }) => {
      const none = {
        "access-control-allow-origin": undefined,
        "access-control-allow-credentials": undefined,
        "access-control-allow-methods": undefined,
        vary: undefined,
      };
      const target = `/inbox/${id()}`;
      const headers = { origin, "access-control-request-method": "DELETE" };
      const refused = bare(405, inboxAllow);
      assertAnswer(await call("OPTIONS", target, { headers }), {
        ...refused,
        headers: { ...refused.headers, ...none },
      });
      await call("POST", target, { body: "x", headers: { origin } });
      assertAnswer(await call("GET", target, { headers: { origin } }), {
        status: 200,
        text: "x",
        headers: none,
      });
    },
  );

  launchedCase(
    "C56 a preflight is granted what it asks for",
    { settings: { cors: true } },
    async ({ call, id }) => {
      const headers = {
        origin,
        "access-control-request-method": "DELETE",
        "access-control-request-headers": "x-a",
      };
      assertAnswer(await call("OPTIONS", `/inbox/${id()}`, { headers }), {
        status: 200,
        text: "",
        headers: {
          ...mirrored(origin),
          "access-control-allow-methods": "DELETE",
          "access-control-allow-headers": "x-a",
          "content-length": "0",
          allow: inboxAllow,
        },
      });
    },
  );

  launchedCase("C57 any OPTIONS is a preflight", { settings: { cors: true } }, async ({ call, id }) => {
    assertAnswer(await call("OPTIONS", `/inbox/${id()}`), {
      status: 200,
      text: "",
      headers: { ...mirrored(undefined), "access-control-allow-methods": undefined },
    });
    assertAnswer(await call("OPTIONS", "/nope", { headers: { origin } }), {
      status: 200,
      text: "",
      headers: mirrored(origin),
    });
  });

  launchedCase(
    "C58 every answer is readable for the page that asked",
    { waits: "short", settings: { cors: true } },
    async ({ call, id }) => {
      const target = `/inbox/${id()}`;
      const page = { headers: { origin } };
      await call("POST", target, { body: "x" });
      assertAnswer(await call("GET", target, { headers: { origin: "null" } }), {
        status: 200,
        headers: mirrored("null"),
      });
      assertAnswer(await call("GET", target), { status: 200, headers: mirrored(undefined) });
      assertAnswer(await call("GET", "/nope", page), { status: 404, headers: mirrored(origin) });
      assertAnswer(await call("PUT", target, page), { status: 405, headers: mirrored(origin) });
      assertAnswer(await call("POST", target, { ...page, body: "x".repeat(2049) }), {
        status: 413,
        headers: mirrored(origin),
      });
      assertAnswer(await call("GET", `/inbox/${id()}`, page), { status: 408, headers: mirrored(origin) });
    },
  );
});

describe("capacity and restart", { concurrency: 4 }, () => {
  const three = { maxEntries: 3 };
  const full = { status: 503, text: "Server at capacity", headers: { "content-type": octets } };
  const unreadable = (answer: Answer) => assertAnswer(answer, notFound);

  launchedCase(
    "C60 replacing a message at capacity costs nobody else's",
    { referenceFails: true, settings: three },
    async ({ call, id }) => {
      const [a, b, c] = [`/inbox/${id()}`, `/inbox/${id()}`, `/inbox/${id()}`];
      for (const target of [a, b, c, c]) assertAnswer(await call("POST", target, { body: target }), stored);
      for (const target of [a, b, c]) assertAnswer(await call("GET", `${target}/ack`), message("false"));
      for (const target of [a, b, c]) assertAnswer(await call("GET", target), message(target));
    },
  );

  launchedCase(
    "C61 at capacity an acked message makes room first",
    { referenceFails: true, settings: three },
    async ({ call, id }) => {
      // The acked one is the newest: age alone would evict an unread message.
      const [a, b, c, d] = [`/inbox/${id()}`, `/inbox/${id()}`, `/inbox/${id()}`, `/inbox/${id()}`];
      for (const target of [b, c, a]) await call("POST", target, { body: target });
      await call("DELETE", a);
      assertAnswer(await call("POST", d, { body: d }), stored);
      for (const target of [b, c, d]) assertAnswer(await call("GET", `${target}/ack`), message("false"));
      for (const target of [b, c, d]) assertAnswer(await call("GET", target), message(target));
    },
  );

  launchedCase(
    "C62 full of unread messages, the relay refuses a new one",
    { referenceFails: true, settings: three },
    async ({ call, id, park }) => {
      const [a, b, c, d] = [`/inbox/${id()}`, `/inbox/${id()}`, `/inbox/${id()}`, `/inbox/${id()}`];
      for (const target of [a, b, c]) await call("POST", target, { body: target });
      const refused = await call("POST", d, { body: d });
      assertAnswer(refused, full);
      assert.match(refused.header("retry-after") ?? "absent", /^[1-9]\d*$/);
      const refusedLink = await call("POST", d.replace("inbox", "link"), { body: d });
      assertAnswer(refusedLink, viaLink(full));
      unreadable(await call("GET", `${d}/ack`));
      for (const target of [a, b, c]) assertAnswer(await call("GET", target), message(target));
      // The relay is full for messages, not for those who wait.
      const waiting = await park("GET", d);
      await call("DELETE", a);
      assertAnswer(await call("POST", d, { body: "at last" }), stored);
      assertAnswer(await waiting.answer, message("at last"));
    },
  );

  launchedCase(
    "at capacity an expired message makes room at once",
    { settings: { ...three, ttlMs: 2000 } },
    async ({ call, id, relay }) => {
      for (let each = 0; each < 3; each++) await call("POST", `/inbox/${id()}`, { body: "x" });
      await elapse(relay.ttlMs + 100);
      const target = `/inbox/${id()}`;
      assertAnswer(await call("POST", target, { body: "y" }), stored);
      assertAnswer(await call("GET", target), message("y"));
    },
  );

  launchedCase("the body limit is an option", { settings: { maxBodySize: 10 } }, async ({ call, id }) => {
    assertAnswer(await call("POST", `/inbox/${id()}`, { body: "x".repeat(10) }), stored);
    assertAnswer(await call("POST", `/inbox/${id()}`, { body: "x".repeat(11) }), tooLarge);
  });

  launchedCase(
    "C59 messages and acks survive kill -9",
    { durable: true, settings: {} },
    async ({ t, call, id, park, relay }) => {
      const [unread, acked, linked] = [id(), id(), id()];
      const headers = { "content-type": "a/b; c=d" };
      assertAnswer(await call("POST", `/inbox/${unread}`, { body: "\x00kept", headers }), stored);
      assertAnswer(await call("POST", `/inbox/${acked}`, { body: "gone" }), stored);
      assertAnswer(await call("DELETE", `/inbox/${acked}`), stored);
      await park("POST", `/link/${linked}`, { body: "linked" });
      relay.kill("SIGKILL");

      await using restarted = await relay.restart();
      await using later = sceneOn(t, restarted);
      assertAnswer(await later.scene.call("GET", `/inbox/${unread}`), {
        status: 200,
        text: "\x00kept",
        headers,
      });
      assertAnswer(await later.scene.call("GET", `/inbox/${unread}/ack`), message("false"));
      assertAnswer(await later.scene.call("GET", `/inbox/${acked}/ack`), message("true"));
      assertAnswer(await later.scene.call("GET", `/link/${linked}`), viaLink(message("linked"), "true"));
    },
  );

  launchedCase(
    "C64 SIGTERM stops the relay in time, and nothing stored is lost",
    { durable: true, referenceFails: true, settings: {} },
    async ({ t, call, id, park, relay }) => {
      const target = `/inbox/${id()}`;
      assertAnswer(await call("POST", target, { body: "kept" }), stored);
      const waiting = await park("GET", `/inbox/${id()}`);
      const stoppedAt = performance.now();
      relay.kill("SIGTERM");
      assert.deepEqual(await relay.exited, { code: 0, signal: null });
      // The waiting read alone would hold it for a minute.
      assert.ok(performance.now() - stoppedAt < relay.inboxTimeoutMs / 2);
      assert.ok([408, 503].includes((await waiting.answer).status), "a client asks again after 408 and 503");

      await using restarted = await relay.restart();
      await using later = sceneOn(t, restarted);
      assertAnswer(await later.scene.call("GET", target), message("kept"));
    },
  );
});

describe("HTTP itself", { concurrency: 8 }, () => {
  relayCase("C63 a client that asks first is told to continue", {}, async ({ connection, id, call }) => {
    const target = `/inbox/${id()}`;
    const carrier = await connection();
    const whole = encodeRequest("POST", target, { body: "hello", headers: { expect: "100-continue" } });
    carrier.send(whole.subarray(0, whole.length - 5));
    assert.equal((await carrier.next("POST")).status, 100);
    carrier.send(whole.subarray(whole.length - 5));
    assertAnswer(await carrier.next("POST"), stored);
    assertAnswer(await call("GET", target), message("hello"));
  });

  relayCase("C63 pipelined requests are answered in order", {}, async ({ connection, id }) => {
    const carrier = await connection();
    const [a, b] = [`/inbox/${id()}`, `/inbox/${id()}`];
    const requests = [
      encodeRequest("POST", a, { body: "A" }),
      encodeRequest("POST", b, { body: "B", framing: "chunked" }),
      encodeRequest("GET", a),
      encodeRequest("GET", "/nope"),
      encodeRequest("GET", b),
      encodeRequest("DELETE", a),
      encodeRequest("GET", `${a}/ack`),
    ];
    carrier.send(Buffer.concat(requests));
    assertAnswer(await carrier.next("POST"), stored);
    assertAnswer(await carrier.next("POST"), stored);
    assertAnswer(await carrier.next("GET"), message("A"));
    assertAnswer(await carrier.next("GET"), bare(404));
    assertAnswer(await carrier.next("GET"), message("B"));
    assertAnswer(await carrier.next("DELETE"), stored);
    assertAnswer(await carrier.next("GET"), message("true"));
    assert.equal(carrier.surplus, 0);
  });

  relayCase("C63 a missing Host and an absolute target are served", {}, async ({ call, id }) => {
    assertAnswer(await call("GET", "/", { host: false }), { status: 200, text: "Http Relay" });
    assertAnswer(await call("GET", "http://relay.example/"), { status: 200, text: "Http Relay" });
    const a = id();
    assertAnswer(await call("POST", `http://relay.example/inbox/${a}`, { body: "x" }), stored);
    assertAnswer(await call("GET", `/inbox/${a}`, { host: false }), message("x"));
  });

  relayCase("C63 HTTP/1.0 is answered and closed", {}, async ({ connection, id }) => {
    const carrier = await connection();
    carrier.send(encodeRequest("POST", `/inbox/${id()}`, { body: "x", version: "1.0" }));
    assertAnswer(await carrier.next("POST"), stored);
    await carrier.closed();
  });

  relayCase("C63 what is not HTTP gets a 400 and is closed", {}, async ({ connection }) => {
    const carrier = await connection();
    carrier.send(Buffer.from("this is not http\r\n\r\n"));
    assert.equal((await carrier.next("GET")).status, 400);
    await carrier.closed();
  });

  relayCase("C67 a random history of many ids follows the model", {}, async (scene) => {
    await walkAtRandom(scene, { ids: 200, stepsPerId: 20, lanes: 40 });
  });
});
