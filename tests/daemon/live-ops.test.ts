import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { describe, test } from "node:test";
import { constants, inflateRawSync } from "node:zlib";
import * as Net from "@moq/net";
import { generate, sign } from "@moq/token";
import { netClient } from "#tests/interop/live/clients.ts";
import { startPostern, withOps } from "#tests/support/postern.ts";
import { temporaryFolder } from "#tests/support/temporary-folder.ts";

const connect = netClient();

/** The samples of a metrics page, by name and labels as they stand there. */
async function samples(ops: string): Promise<Map<string, number>> {
  const text = await (await fetch(`${ops}/metrics`)).text();
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return new Map(lines.map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.split(" ").at(-1))]));
}

interface Sessions {
  sessions: { id: string; direction: string; transport: string; protocol: string; tier: string }[];
}
const sessionsAt = async (ops: string, query = ""): Promise<Sessions["sessions"]> =>
  ((await (await fetch(`${ops}/sessions${query}`)).json()) as Sessions).sessions;

describe("what operators see of live", { timeout: 240_000 }, () => {
  test("is counted in the original relay's metrics as the traffic that was sent", async () => {
    await using postern = await startPostern([...withOps, "--auth-public", ""]);
    const ops = await postern.opsUrl();
    const publisher = await connect(new URL("/room", postern.url));
    publisher.publish("cam", (track) => track.group("hello", "world!"));
    const viewers = [await connect(new URL(postern.url)), await connect(new URL(postern.url))];
    for (const viewer of viewers) {
      await viewer.announced()();
      const chat = viewer.subscribe("room/cam", "chat");
      assert.equal(await chat.next(), "hello");
      assert.equal(await chat.next(), "world!");
    }
    assert.equal(await (await fetch(`${postern.url}/fetch/room/cam/chat`)).text(), "helloworld!");

    const at = await samples(ops);
    const pair = (name: string) =>
      ["publisher", "subscriber"].map((role) => at.get(`moq_relay_${name}_total{tier="",role="${role}"}`));
    assert.deepEqual(pair("bytes"), [33, 11]);
    assert.deepEqual(pair("frames"), [6, 2]);
    assert.deepEqual(pair("groups"), [3, 1]);
    assert.deepEqual(pair("fetches"), [1, 0]);
    assert.deepEqual(pair("datagrams"), [0, 0]);
    assert.deepEqual(pair("announces_started"), [2, 1]);
    assert.deepEqual(pair("subscriptions_opened"), [2, 1]);
    assert.deepEqual(pair("subscriptions_closed"), [0, 0]);
    assert.deepEqual(pair("viewers_opened"), [2, 0]);
    assert.deepEqual(pair("viewers_closed"), [0, 0]);
    assert.equal(at.get('moq_relay_sessions_opened_total{tier=""}'), 3);
    assert.equal(at.get('moq_relay_sessions_closed_total{tier=""}'), 0);
    for (const listener of ["web", "internal"]) {
      assert.equal(at.get(`moq_relay_accept_stalled_seconds{listener="${listener}"}`), 0);
      for (const kind of ["connection", "exhausted", "unknown"])
        assert.equal(at.get(`moq_relay_accept_failures_total{listener="${listener}",class="${kind}"}`), 0);
    }

    for (const client of [publisher, ...viewers]) client.close();
    const closed = async () => (await samples(ops)).get('moq_relay_sessions_closed_total{tier=""}');
    while ((await closed()) !== 3);
    const after = await samples(ops);
    assert.equal(after.get('moq_relay_viewers_closed_total{tier="",role="publisher"}'), 2);
    assert.equal(after.get('moq_relay_bytes_total{tier="",role="publisher"}'), 33);
  });

  test("is published as broadcasts, which only who asks for them is shown", async () => {
    const args = [
      "--auth-public",
      "",
      "--stats-enabled",
      "--stats-node",
      "fra/1",
      "--stats-interval",
      "100ms",
    ];
    await using postern = await startPostern(args);
    const publisher = await connect(new URL("/room", postern.url));
    publisher.publish("cam", (track) => track.group("hello", "world!"));
    const viewer = await connect(new URL(postern.url));
    assert.equal((await viewer.announced()())?.path, "room/cam");
    assert.equal(await (await fetch(`${postern.url}/announced`)).text(), "room/cam");
    assert.equal(await (await fetch(`${postern.url}/announced/.stats`)).text(), "node/fra/1");
    assert.equal((await viewer.announced(".stats")())?.path, "node/fra/1");
    await viewer.subscribe("room/cam", "chat").next();

    const stats = viewer.subscribe(".stats/node/fra/1", "publisher.json");
    const last = async (isWanted: (row: Record<string, unknown>) => boolean) => {
      for (;;) {
        const row = JSON.parse((await stats.next()) ?? "")["room/cam"];
        if (row && isWanted(row)) return row;
      }
    };
    assert.deepEqual(await last(({ bytes }) => bytes === 11), {
      announces_started: 1,
      announced: 1,
      announces_ended: 0,
      announced_closed: 0,
      announced_bytes: 8,
      broadcasts_started: 1,
      broadcasts: 1,
      broadcasts_ended: 0,
      broadcasts_closed: 0,
      subscriptions_started: 1,
      subscriptions: 1,
      subscriptions_ended: 0,
      subscriptions_closed: 0,
      fetches: 0,
      bytes: 11,
      frames: 2,
      groups: 1,
      datagrams: 0,
      stale: { bytes: 0, frames: 0, groups: 0, datagrams: 0 },
    });
    const sessions = await viewer.subscribe(".stats/node/fra/1", "sessions.json").next();
    const one = { sessions_started: 1, sessions: 1, sessions_ended: 0, sessions_closed: 0 };
    assert.deepEqual(JSON.parse(sessions ?? ""), { "": one, room: one });
    assert.equal(await viewer.subscribe(".stats/node/fra/1", "region/x/subscriber.json").next(), "{}");
    await assert.rejects(viewer.subscribe(".stats/node/fra/1", "other.json").next());

    const connection = await Net.Connection.connect(new URL(postern.url));
    const compressed = connection
      .consume(Net.Path.from(".stats/node/fra/1"))
      .subscribe("subscriber.json.z", { ordered: true });
    const frame = await compressed.readFrame();
    assert.ok(frame);
    const whole = Buffer.concat([frame.payload, Uint8Array.of(0, 0, 255, 255)]);
    const text = inflateRawSync(whole, { finishFlush: constants.Z_SYNC_FLUSH }).toString();
    assert.equal(JSON.parse(text)["room/cam"].bytes, 11);
    for (const client of [publisher, viewer, connection]) client.close();
  });

  test("has a broadcast of counts for each first part of a name, with depth 1", async () => {
    const args = ["--auth-public", "", "--stats-enabled", "--stats-depth", "1", "--stats-interval", "100ms"];
    await using postern = await startPostern([...args, "--stats-linger", "0s"]);
    const publisher = await connect(new URL("/acme", postern.url));
    publisher.publish("cam", () => {});
    const viewer = await connect(new URL("/.stats", postern.url));
    const announced = viewer.announced();
    const seen = new Set<string>();
    while (!seen.has("acme/node")) seen.add((await announced())?.path ?? "");
    publisher.close();
    for (let next = await announced(); next?.active || next?.path !== "acme/node"; next = await announced());
    viewer.close();
  });

  test("is a list of sessions that can be ended one by one, by path, key or token", async () => {
    using folder = temporaryFolder();
    const key = await generate("ES256", "key-1");
    const file = folder.file("key.jwk");
    writeFileSync(file, JSON.stringify(key));
    await using postern = await startPostern([...withOps, "--auth-key", file, "--auth-public", "anon"]);
    const ops = await postern.opsUrl();
    const token = await sign(key, { root: "room", get: "" });
    const at = (path: string) => connect(new URL(path, postern.url));
    const [one, other, known, kept] = [
      await at("/anon/secret-a"),
      await at("/anon/secret-b"),
      await at(`/room?jwt=${token}`),
      await at("/anon"),
    ];
    const all = await fetch(`${ops}/sessions`);
    const text = await all.text();
    for (const secret of ["secret", "anon", token, "127.0.0.1"]) assert.ok(!text.includes(secret), secret);
    const { sessions } = JSON.parse(text) as Sessions;
    assert.equal(sessions.length, 4);
    for (const { id, direction, transport, protocol } of sessions) {
      assert.match(id, /^[0-9a-f]{16}$/);
      assert.deepEqual([direction, transport, protocol], ["inbound", "websocket", "moq-lite-05"]);
    }

    const end = (path: string, headers: Record<string, string> = {}) =>
      fetch(`${ops}${path}`, { method: "DELETE", headers });
    const [first] = await sessionsAt(ops, "?path=/anon/secret-a");
    assert.equal((await end(`/sessions/${first!.id}`, { origin: "https://a.example" })).status, 403);
    assert.equal((await end(`/sessions/${first!.id}`)).status, 204);
    await one.closed;
    assert.equal((await end(`/sessions/${first!.id}`)).status, 404);
    assert.deepEqual(await (await end("/sessions?path=anon/secret-b")).json(), {
      ids: [sessions.map(({ id }) => id)[1]],
    });
    await other.closed;
    assert.equal((await end("/sessions")).status, 400);
    assert.equal((await end("/sessions?remote=127.0.0.1")).status, 400);
    assert.equal((await sessionsAt(ops, "?kid=key-2")).length, 0);
    assert.equal((await sessionsAt(ops, "?kid=key-1&transport=websocket")).length, 1);
    await end("/sessions?kid=key-1");
    await known.closed;
    assert.equal((await sessionsAt(ops)).length, 1);
    const revalidated = await fetch(`${ops}/sessions/revalidate`, { method: "POST" });
    assert.deepEqual(await revalidated.json(), { ended: 0 });
    assert.equal((await fetch(`${ops}/sessions/revalidate`)).status, 405);
    assert.ok(!postern.log().includes("secret"));
    kept.close();
  });

  test("asks for the operator's token where there is one", async () => {
    await using postern = await startPostern([...withOps, "--auth-public", "", "--metrics-token", "s3cret"]);
    const ops = await postern.opsUrl();
    const asks = [
      ["GET", "/nodes"],
      ["GET", "/sessions"],
      ["DELETE", "/sessions?path=/"],
      ["POST", "/sessions/revalidate"],
      ["POST", "/drain"],
    ] as const;
    for (const [method, path] of asks) assert.equal((await fetch(ops + path, { method })).status, 401, path);
    const headers = { authorization: "Bearer s3cret" };
    for (const [method, path] of asks)
      assert.ok((await fetch(ops + path, { method, headers })).ok, `${method} ${path}`);
  });

  test("can be drained: sessions go, none comes, the daemon is not ready", async () => {
    await using postern = await startPostern([...withOps, "--auth-public", "", "--live-drain", "100ms"]);
    const ops = await postern.opsUrl();
    const session = await connect(new URL(postern.url));
    const feed = await fetch(`${postern.url}/announced`, { headers: { accept: "text/event-stream" } });
    const drained = await fetch(`${ops}/drain?uri=https://other.example/`, { method: "POST" });
    assert.equal(drained.status, 202);
    assert.deepEqual(await drained.json(), { sessions: 1 });
    await session.closed;
    assert.match(await feed.text(), /event: end\ndata: {"reason":"the relay is going down"}/);
    assert.equal((await fetch(`${ops}/ready`)).status, 503);
    assert.equal((await fetch(`${postern.url}/announced`)).status, 200);
    const late = { headers: { accept: "text/event-stream" } };
    assert.equal((await fetch(`${postern.url}/announced`, late)).status, 503);
    await assert.rejects(connect(new URL(postern.url)));
  });

  test("tells what two relays that both take the draft of moq-lite speak with each other", async () => {
    const draft = [...withOps, "--auth-public", "", "--live-moq-lite-draft"];
    await using root = await startPostern(draft);
    await using leaf = await startPostern([...draft, "--cluster-root", root.url]);
    const leafOps = await leaf.opsUrl();
    let seen = await sessionsAt(leafOps);
    while (seen[0]?.protocol === undefined) seen = await sessionsAt(leafOps);
    assert.deepEqual(
      seen.map(({ direction, protocol }) => [direction, protocol]),
      [["outbound", "moq-lite-06-wip"]],
    );
  });

  test("knows the other relays of the cluster", async () => {
    await using root = await startPostern([...withOps, "--auth-public", ""]);
    const port = new URL(root.url).port;
    const leafArgs = [
      "--auth-public",
      "",
      "--cluster-root",
      root.url,
      "--cluster-node",
      "http://leaf.example:1/",
    ];
    await using leaf = await startPostern([...withOps, ...leafArgs]);
    const nodes = async (ops: string) =>
      ((await (await fetch(`${ops}/nodes`)).json()) as { nodes: Record<string, unknown>[] }).nodes;
    const leafOps = await leaf.opsUrl();
    let seen = await nodes(leafOps);
    while (seen.length === 0) seen = await nodes(leafOps);
    const { node, connections } = seen[0] as { node: string; connections: { direction: string }[] };
    assert.equal(node, `http://127.0.0.1:${port}/`);
    assert.deepEqual(
      connections.map(({ direction }) => direction),
      ["outbound"],
    );
  });
});
