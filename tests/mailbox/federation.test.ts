import assert from "node:assert/strict";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { describe, test } from "node:test";
import { ed25519 } from "@noble/curves/ed25519.js";
import { WebSocketServer } from "ws";
import { systemEntropy } from "#core/clock.ts";
import { type Json, plainApi } from "#tests/support/mailbox-api.ts";
import { opsUrlOf, type Postern, runPostern, startPostern } from "#tests/support/postern.ts";
import { offloadOf, RawPeer } from "#tests/support/raw-peer.ts";
import { signedPurge } from "#tests/support/signed-purge.ts";
import { temporaryFolder } from "#tests/support/temporary-folder.ts";
import { bucketOf, pad } from "#wire/mailbox/padding.ts";

const mailbox = (byte: number) => byte.toString(16).padStart(2, "0").repeat(32);
const bytes = (text: string) => new TextEncoder().encode(text);
const apiOf = ({ url }: { url: string }) => plainApi((path, init) => fetch(url + path, init));
const fast = ["--federation", "--federation-capacity-interval", "100ms", "--federation-ack-timeout", "300ms"];
const rich = ["--mailbox-rate-limit", "100000"];
const small = ["--max-storage", "20KiB", ...rich];
const now = () => Math.floor(Date.now() / 1000);
const turn = () => new Promise((resolve) => setImmediate(resolve));

async function waiting(relay: Postern, ...names: string[]): Promise<Json[]> {
  return (await apiOf(relay).call("fetch", { mailbox_tokens: names })).body.blobs;
}

/** Fills a small relay beyond its threshold with messages of 1 KiB, one to a mailbox. */
async function fill(relay: Postern, count = 18): Promise<string[]> {
  const ids: string[] = [];
  for (let at = 0; at < count; at++) {
    const ciphertext = Buffer.alloc(1024, at).toString("base64");
    const sent = await apiOf(relay).call("send", { recipient_id: mailbox(at), ciphertext });
    assert.equal(sent.status, 200);
    ids.push(sent.body.blob_id);
  }
  return ids;
}

/** A peer that the test plays, and that relays call. */
async function playedPeer() {
  const server = new WebSocketServer({ host: "127.0.0.1", port: 0 });
  await once(server, "listening");
  const calls: RawPeer[] = [];
  let wake = () => {};
  server.on("connection", (socket) => {
    calls.push(new RawPeer(socket));
    wake();
  });
  return {
    url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}`,
    /** The next call, after its greeting was answered. */
    async taken(capacity = { used: 0, max: 1_000_000_000 }): Promise<RawPeer> {
      while (calls.length === 0) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      const call = calls.shift()!;
      assert.equal((await call.next()).type, "PeerHandshake");
      call.say({
        type: "PeerHandshakeAck",
        relay_id: "played",
        version: 1,
        accepted: true,
        capacity_used_bytes: capacity.used,
        capacity_max_bytes: capacity.max,
      });
      return call;
    },
    [Symbol.dispose]() {
      for (const socket of server.clients) socket.terminate();
      server.close();
    },
  };
}

const local = (peerUrl: string) => ["--federation-peers", peerUrl, "--federation-allow-private", "127.0.0.1"];

describe("a relay that is called", { timeout: 60_000 }, () => {
  test("[57] greets its own version, and no other", async () => {
    await using relay = await startPostern([...fast, "--federation-relay-id", "ours"]);
    const greeting = { type: "PeerHandshake", relay_id: "them", version: 1, listen_addr: "" };
    for (const isPadded of [true, false]) {
      using peer = await RawPeer.call(relay.url, undefined);
      peer.say(greeting, isPadded);
      const answer = await peer.next();
      assert.deepEqual(
        [answer.type, answer.relay_id, answer.version, answer.accepted, answer.capacity_max_bytes],
        ["PeerHandshakeAck", "ours", 1, true, 2 ** 30],
      );
    }
    using later = await RawPeer.call(relay.url, undefined);
    const refused = await later.ask({ ...greeting, version: 99 });
    assert.deepEqual([refused.accepted, refused.capacity_max_bytes], [false, 0]);
    await later.ended();
  });

  test("hangs up on who does not greet", async () => {
    await using relay = await startPostern([...fast, "--federation-peer-timeout", "300ms"]);
    using silent = await RawPeer.call(relay.url, undefined);
    await silent.ended();
    for (const wrong of ["text", Buffer.from("garbage"), Buffer.alloc(0)]) {
      using peer = await RawPeer.call(relay.url, undefined);
      peer.socket.send(wrong);
      await peer.ended();
    }
    using other = await RawPeer.call(relay.url, undefined);
    other.say({ type: "DrainAck" });
    await other.ended();
    using quiet = await RawPeer.call(relay.url, "quiet");
    await quiet.ended();
  });

  test("[58] [59] [60] [61] [67] takes messages that are whole, came straight, and fit", async () => {
    await using relay = await startPostern([...fast, ...rich]);
    using peer = await RawPeer.call(relay.url, "them");
    const data = new Uint8Array(100).fill(7);
    const accepted = {
      type: "OffloadAck",
      blob_id: offloadOf("", data).blob_id,
      accepted: true,
      reason: null,
    };
    assert.deepEqual(await peer.ask(offloadOf(mailbox(1), data)), accepted);
    // Its answer may have been lost: the same again is the same message.
    assert.deepEqual(await peer.ask(offloadOf(mailbox(1), data)), accepted);
    const [blob, ...more] = await waiting(relay, mailbox(1));
    assert.deepEqual([blob!.ciphertext, more.length], [Buffer.from(data).toString("base64"), 0]);

    const refused = async (offload: Json, reason: RegExp) => {
      const answer = await peer.ask(offload);
      assert.equal(answer.accepted, false);
      assert.match(String(answer.reason), reason);
    };
    await refused(offloadOf(mailbox(2), data, { integrity_hash: "00".repeat(32) }), /integrity/);
    await refused(offloadOf(mailbox(2), data, { hop_count: 1 }), /hop_count/);
    await refused(offloadOf("elsewhere", data), /routing_id/);
    assert.deepEqual(await waiting(relay, mailbox(2)), []);

    const padded = pad(data, bucketOf(data.byteLength), systemEntropy);
    await peer.ask(offloadOf(mailbox(3), padded, { created_at_secs: now() - 1000, blob_id: "b" }));
    await peer.ask(offloadOf(mailbox(4), data, { created_at_secs: now() + 9999, blob_id: "c" }));
    const [old] = await waiting(relay, mailbox(3));
    assert.equal(old!.ciphertext, Buffer.from(data).toString("base64"));
    assert.ok((old!.created_at as number) <= now() - 999);
    assert.ok(((await waiting(relay, mailbox(4)))[0]!.created_at as number) <= now());

    peer.say({ type: "SomethingNew", members: 1 });
    peer.socket.send("text");
    assert.deepEqual(await peer.ask({ type: "DrainNotice", drain_timeout_secs: 1 }), { type: "DrainAck" });
  });

  test("wakes a fetch that waits, and keeps what it accepted when it is killed", async () => {
    using folder = temporaryFolder();
    const args = [...fast, "--persist-db", folder.file("p.db")];
    const relay = await startPostern(args);
    using peer = await RawPeer.call(relay.url, "them");
    const found = apiOf(relay).call("fetch", { mailbox_tokens: [mailbox(1)] }, { prefer: "wait=20" });
    assert.equal((await peer.ask(offloadOf(mailbox(1), bytes("given")))).accepted, true);
    assert.equal((await found).body.blobs.length, 1);
    relay.process.kill("SIGKILL");
    await relay.exited;
    await using again = await startPostern(args);
    assert.equal((await waiting(again, mailbox(1))).length, 1);
    using back = await RawPeer.call(again.url, "them");
    assert.equal((await back.ask(offloadOf(mailbox(1), bytes("given")))).accepted, true);
    assert.equal((await waiting(again, mailbox(1))).length, 1);
  });

  test("[59] [70] refuses when it is full or a relay sends too often, and counts it", async () => {
    await using relay = await startPostern([
      ...fast,
      ...small,
      "-v",
      "--ops-listen",
      "127.0.0.1:0",
      "--federation-rate-limit",
      "3",
      "--max-mailbox-blobs",
      "1",
    ]);
    using peer = await RawPeer.call(relay.url, "them");
    const offload = (id: string, to = mailbox(77), size = 10) =>
      offloadOf(to, new Uint8Array(size).fill(1), { blob_id: id });
    assert.equal((await peer.ask(offload("a"))).accepted, true);
    assert.match(String((await peer.ask(offload("b"))).reason), /quota exceeded/);
    await fill(relay, 18);
    await apiOf(relay).call("send", {
      recipient_id: mailbox(99),
      ciphertext: Buffer.alloc(512).toString("base64"),
    });
    assert.equal((await peer.ask(offload("c", mailbox(50)))).reason, "at capacity");
    const late = await peer.ask(offload("d", mailbox(51)));
    assert.deepEqual([late.accepted, late.reason], [false, "rate limited"]);
    assert.deepEqual(await waiting(relay, mailbox(50), mailbox(51)), []);
    const metrics = await (await fetch(`${await opsUrlOf(relay)}/metrics`)).text();
    for (const [name, value] of [
      ["peers_connected", 1],
      ["offloads_received_total", 1],
      ["offloads_rejected_total", 3],
      ["rate_limited_total", 1],
    ]) {
      assert.match(metrics, new RegExp(`^relay_federation_${name} ${value}$`, "m"));
    }
  });

  test("is told 404 where federation is off, and hung up on where it is not among the allowed", async () => {
    await using off = await startPostern();
    await assert.rejects(RawPeer.call(off.url, "them"), /404/);
    await using picky = await startPostern([...fast, "--federation-allow", "friend"]);
    using friend = await RawPeer.call(picky.url, "friend");
    assert.equal((await friend.ask(offloadOf(mailbox(1), bytes("x")))).accepted, true);
    await assert.rejects(RawPeer.call(picky.url, "stranger"));
  });
});

describe("a relay that gets full", { timeout: 60_000 }, () => {
  test("[64] [66] gives its oldest messages away, each kept until it was accepted", async () => {
    using peer = await playedPeer();
    await using relay = await startPostern([...fast, ...small, ...local(peer.url)]);
    const call = await peer.taken();
    const ids = await fill(relay);
    const first = await call.next();
    assert.deepEqual(
      [first.type, first.blob_id, first.routing_id, first.hop_count],
      ["OffloadBlob", ids[0], mailbox(0), 0],
    );
    assert.equal((await waiting(relay, mailbox(0))).length, 1);
    call.say({ type: "OffloadAck", blob_id: first.blob_id, accepted: true, reason: null });
    while ((await waiting(relay, mailbox(0))).length > 0) await turn();

    // The rest of the batch: refused, answered for nothing, or not at all. All of it stays, and comes again.
    const offered = new Map<unknown, number>();
    while (![...offered.values()].some((times) => times > 1)) {
      const { blob_id } = await call.next();
      offered.set(blob_id, (offered.get(blob_id) ?? 0) + 1);
      if (offered.size % 2) call.say({ type: "OffloadAck", blob_id, accepted: false, reason: "at capacity" });
    }
    assert.ok(!offered.has(first.blob_id));
    for (let at = 1; at < 18; at++) assert.equal((await waiting(relay, mailbox(at))).length, 1);
  });

  test("[68] tells the owner where a message went, signed; a purge forgets it", async () => {
    using peer = await playedPeer();
    await using relay = await startPostern([...fast, ...small, ...local(peer.url)]);
    const call = await peer.taken();
    const ids = await fill(relay);
    const given = await call.next();
    call.say({ type: "OffloadAck", blob_id: given.blob_id, accepted: true, reason: null });
    const look = async () => (await apiOf(relay).call("fetch", { mailbox_tokens: [mailbox(0)] })).body;
    let page = await look();
    while (page.blobs.length > 0) page = await look();
    const { hints, relay_signing_key, signature } = page.forwarding_hints;
    const end = hints[0].expires_at_secs;
    assert.deepEqual(hints, [{ blob_id: ids[0], relay_url: peer.url, expires_at_secs: end }]);
    assert.ok(Math.abs(end - now() - 120 * 86_400) < 60);
    const time = Buffer.alloc(8);
    time.writeBigUInt64BE(BigInt(end));
    const signed = Buffer.concat([bytes(ids[0]!), bytes(peer.url), time]);
    assert.ok(ed25519.verify(Buffer.from(signature, "hex"), signed, Buffer.from(relay_signing_key, "hex")));
    await apiOf(relay).call("purge", signedPurge(mailbox(0), now()));
    assert.equal((await look()).forwarding_hints, undefined);
  });

  test("[62] [63] [65] gives nothing to peers that are full or going away, nor below the threshold", async () => {
    using full = await playedPeer();
    using going = await playedPeer();
    using good = await playedPeer();
    const peers = [full, going, good].map(({ url }) => url).join(",");
    await using relay = await startPostern([...fast, ...small, ...local(peers)]);
    const [fullCall, goingCall, goodCall] = [
      await full.taken({ used: 96, max: 100 }),
      await going.taken(),
      await good.taken({ used: 96, max: 100 }),
    ];
    assert.deepEqual(await goingCall.ask({ type: "DrainNotice", drain_timeout_secs: 1 }), {
      type: "DrainAck",
    });
    goodCall.say({ type: "CapacityReport", used_bytes: 1, max_bytes: 1_000_000, blob_count: 1 });
    await fill(relay);
    // The whole excess goes to the only one that has room; the others hear nothing before they are asked to say something.
    assert.equal((await goodCall.next()).type, "OffloadBlob");
    for (const other of [fullCall, goingCall]) {
      assert.deepEqual(await other.ask({ type: "DrainNotice", drain_timeout_secs: 1 }), { type: "DrainAck" });
    }
  });

  test("finds a peer again that went away, and one that was not there yet", async () => {
    using peer = await playedPeer();
    await using relay = await startPostern([...fast, ...small, ...local(peer.url)]);
    const first = await peer.taken();
    await fill(relay);
    await first.next();
    first.socket.terminate();
    const second = await peer.taken();
    assert.equal((await second.next()).type, "OffloadBlob");
    for (let at = 0; at < 18; at++) assert.equal((await waiting(relay, mailbox(at))).length, 1);
  });

  test("two relays: what one gives, the other has, until both are full, and nothing travels in circles", async () => {
    await using large = await startPostern([...fast, ...rich, "--max-storage", "100KiB"]);
    const peer = large.url.replace(/^http/, "ws");
    await using relay = await startPostern([
      ...fast,
      ...small,
      ...local(peer),
      "-v",
      "--ops-listen",
      "127.0.0.1:0",
    ]);
    await fill(relay);
    const held = async () =>
      (await waiting(relay, ...Array.from({ length: 18 }, (_, at) => mailbox(at)))).length;
    while ((await held()) > 15) await turn();
    const names = Array.from({ length: 18 }, (_, at) => mailbox(at));
    const here = await waiting(relay, ...names);
    const there = await waiting(large, ...names);
    assert.equal(new Set([...here, ...there].map(({ mailbox_token }) => mailbox_token)).size, 18);
    for (const { ciphertext, mailbox_token } of there) {
      assert.equal(Buffer.from(String(ciphertext), "base64")[0], names.indexOf(String(mailbox_token)));
    }
    // What was taken from a peer is marked, and never offered to another.
    assert.ok(there.every(({ blob_id }) => String(blob_id)[14] === "8"));
  });

  test("a relay that is its own peer notices", async () => {
    using folder = temporaryFolder();
    await using probe = await startPostern();
    const port = new URL(probe.url).port;
    probe.process.kill("SIGTERM");
    await probe.exited;
    const args = [...fast, ...small, "--port", port, "--persist-db", folder.file("p.db")];
    await using relay = await startPostern([...args, ...local(`ws://127.0.0.1:${port}`)]);
    await fill(relay);
    const names = Array.from({ length: 18 }, (_, at) => mailbox(at));
    for (let look = 0; look < 50; look++) assert.equal((await waiting(relay, ...names)).length, 18);
  });
});

describe("a relay with federation", { timeout: 60_000 }, () => {
  test("[80] stays who it is: its id and key survive restarts, and /pubkey tells the key", async () => {
    using folder = temporaryFolder();
    const args = [...fast, "-v", "--ops-listen", "127.0.0.1:0", "--persist-db", folder.file("p.db")];
    const seen: unknown[] = [];
    for (const _ of [1, 2]) {
      await using relay = await startPostern(args);
      using peer = await RawPeer.call(relay.url, undefined);
      const greeting = { type: "PeerHandshake", relay_id: "them", version: 1, listen_addr: "" };
      const key = await (await fetch(`${await opsUrlOf(relay)}/pubkey`)).text();
      assert.match(key, /^[A-Za-z0-9_-]{43}$/);
      seen.push([(await peer.ask(greeting)).relay_id, key]);
      relay.process.kill("SIGTERM");
      assert.equal(await relay.exited, 0);
    }
    assert.deepEqual(seen[0], seen[1]);
  });

  test("says goodbye to its peers when it stops", async () => {
    using peer = await playedPeer();
    await using relay = await startPostern([...fast, ...local(peer.url), "--federation-drain-timeout", "7"]);
    const outbound = await peer.taken();
    using inbound = await RawPeer.call(relay.url, "them");
    relay.process.kill("SIGTERM");
    for (const each of [outbound, inbound]) {
      assert.deepEqual(await each.next(), { type: "DrainNotice", drain_timeout_secs: 7 });
      await each.ended();
    }
    assert.equal(await relay.exited, 0);
  });

  test("calls nobody at a private address unless it may", async () => {
    using peer = await playedPeer();
    await using relay = await startPostern([...fast, "--federation-peers", peer.url]);
    while (!/not a public address/.test(relay.log())) await once(relay.process.stderr!, "data");
    assert.ok(!relay.log().includes(peer.url));
  });

  test("does not start with a peer that is none", async () => {
    for (const wrong of ["http://relay.test", "relay.test", "ws://user@relay.test"]) {
      const refused = await runPostern([
        "serve",
        "--persist-db",
        "memory",
        ...fast,
        "--federation-peers",
        wrong,
      ]);
      assert.equal(refused.code, 2, wrong);
    }
  });
});
