import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, test } from "node:test";
import { FakeBinding, FakeSession } from "#tests/support/fake-moq-binding.ts";
import { settle, simClock } from "#tests/support/sim-clock.ts";
import type { SessionEnd, Transport } from "#wire/live/transport.ts";
import { dialWebTransport } from "./dial.ts";

const options = { connectTimeoutMs: 5_000, verify: true };

function dialling(answer: FakeBinding["onDial"]) {
  const binding = new FakeBinding();
  binding.onDial = answer;
  const clock = simClock();
  const opened: Transport[] = [];
  const ends: SessionEnd[] = [];
  const dial = (url: string, more = {}) =>
    dialWebTransport(new URL(url), { ...options, ...more }, clock, binding, (transport) => {
      transport.handler = { onUni() {}, onBidi() {}, onPump() {}, onEnd: (end) => ends.push(end) };
      opened.push(transport);
    });
  return { binding, clock, opened, ends, dial };
}

describe("another relay, dialled by WebTransport", () => {
  test("selects the version; without one SETUP decides", async () => {
    const offers: (readonly string[])[] = [];
    const answers = ["moq-lite-04", null];
    const { dial, opened, binding } = dialling(async (_url, protocols) => {
      offers.push(protocols);
      return new FakeSession(answers.shift());
    });
    await dial("https://relay.test/room");
    await dial("https://relay.test/room", { verify: false });
    assert.equal(offers[0]![0], "moq-lite-05");
    assert.deepEqual(
      opened.map(({ role, version }) => [role, version]),
      [
        ["client", 4],
        ["client", undefined],
      ],
    );
    assert.deepEqual(binding.trusted, ["system", "all"]);
  });

  test("is trusted by the hash it tells, where the URL is http", async () => {
    const hash = "ab".repeat(32);
    const server = createServer((request, response) =>
      response.writeHead(request.url === "/certificate.sha256" ? 200 : 404).end(hash),
    ).listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const urls: string[] = [];
    const { dial, binding } = dialling(async (url) => {
      urls.push(url);
      return new FakeSession();
    });
    await dial(`http://127.0.0.1:${port}/room?jwt=x`);
    assert.deepEqual(binding.trusted, [[Buffer.from(hash, "hex")]]);
    assert.deepEqual(urls, [`https://127.0.0.1:${port}/room?jwt=x`]);
    server.close().closeAllConnections();
  });

  test("is given up when it takes too long; a session that comes later is closed", async () => {
    const late = Promise.withResolvers<FakeSession>();
    const { dial, clock, opened } = dialling(() => late.promise);
    const over = assert.rejects(dial("https://relay.test/"), /in time/);
    await clock.advance(5_000);
    await over;
    const session = new FakeSession();
    late.resolve(session);
    await settle();
    assert.deepEqual(session.closedWith, [0, ""]);
    assert.deepEqual(opened, []);
  });

  test("tells how it ends", async () => {
    const session = new FakeSession("moq-lite-05");
    const { dial, ends } = dialling(async () => session);
    await dial("https://relay.test/");
    session.end(6, "expired");
    await settle();
    assert.deepEqual(ends, [{ code: 6, reason: "expired", clean: true }]);
  });
});
