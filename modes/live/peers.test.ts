import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { FakePublisher, FakeViewer, muxPair, openGrant, relayOn, view } from "#tests/support/live-pair.ts";
import { type SimClock, settle, simClock, simEntropy } from "#tests/support/sim-clock.ts";
import type { Mux } from "#wire/live/mux.ts";
import { parsePeer } from "./peer-list.ts";
import { Peers } from "./peers.ts";
import type { Relay } from "./relay.ts";

/** Relays that reach each other by name, on one clock. */
class Cluster {
  readonly clock: SimClock = simClock();
  readonly #relays = new Map<string, Relay>();
  readonly #peers = new Map<string, Peers>();
  readonly #ends = new Map<string, Mux[]>();
  dials = 0;

  /** A relay called `name`; with `advertised`, the others are told of it. */
  add(name: string, roots: string[], advertised = true, mesh = true): Relay {
    const relay = relayOn(this.clock);
    const url = `http://${name}/`;
    this.#relays.set(name, relay);
    this.#ends.set(name, []);
    const peers = new Peers({
      relay,
      clock: this.clock,
      entropy: simEntropy(7),
      options: {
        clusterRoot: roots.map((root) => `http://${root}/`),
        clusterNode: advertised ? url : undefined,
        clusterMesh: mesh,
        clusterRetryMaxMs: 10_000,
        clusterNodesMax: 10,
      },
      token: undefined,
      dial: async (target, open) => {
        this.dials++;
        const remote = this.#relays.get(target.host);
        if (remote === undefined) throw new Error("unreachable");
        const pair = muxPair(this.clock, "qmux-02", 5);
        this.#ends.get(name)!.push(pair.client);
        this.#ends.get(target.host)!.push(pair.server);
        remote.accept(pair.server, { ...openGrant(), cluster: true });
        open(pair.client);
      },
      onTrouble: () => {},
    });
    this.#peers.set(name, peers);
    peers.start();
    return relay;
  }

  list(name: string, ...urls: string[]): void {
    this.#peers.get(name)!.list(urls.map(parsePeer));
  }

  linked(name: string): number {
    return this.#peers.get(name)!.linked;
  }

  /** The machine goes away without a word. */
  kill(name: string): void {
    this.#relays.delete(name);
    this.#peers.get(name)!.close();
    for (const end of this.#ends.get(name)!) end.lost("power cut");
    this.#ends.set(name, []);
  }
}

const hopsTo = (relay: Relay, path: string) => relay.origin.find(path)?.current.hops.length;

describe("relays of a cluster", () => {
  test("a broadcast on one leaf is watched on another, over a link of their own", async () => {
    const cluster = new Cluster();
    const root = cluster.add("root", []);
    const a = cluster.add("leaf-a", ["root"]);
    const b = cluster.add("leaf-b", ["root"]);
    await settle();
    const publisher = new FakePublisher();
    a.origin.announce("cam", publisher, []);
    await settle();
    assert.deepEqual([hopsTo(root, "cam"), hopsTo(b, "cam")], [1, 1]);
    const viewer = new FakeViewer();
    view(b, "cam", "v", viewer);
    await settle();
    publisher.asked[0]!.group(0, "x");
    await settle();
    assert.equal(viewer.payload(0), "x");
    assert.equal(publisher.asked.length, 1);
    assert.equal(root.metrics.bytesIn, 0);

    cluster.kill("root");
    publisher.asked[0]!.group(1, "y");
    await settle();
    assert.equal(viewer.payload(1), "y");
  });

  test("leaves that tell nobody their address still meet at the root", async () => {
    const cluster = new Cluster();
    cluster.add("root", []);
    const a = cluster.add("leaf-a", ["root"], false);
    const b = cluster.add("leaf-b", ["root"], false);
    await settle();
    const publisher = new FakePublisher();
    a.origin.announce("cam", publisher, []);
    await settle();
    assert.equal(hopsTo(b, "cam"), 2);
    a.origin.unannounce("cam", publisher, false);
    await settle();
    assert.equal(b.origin.find("cam"), undefined);
  });

  test("when a link is lost the track goes on over another way, from the next group", async () => {
    const cluster = new Cluster();
    const a = cluster.add("a", [], false);
    cluster.add("b", ["a"], false);
    const c = cluster.add("c", ["a", "b"], false);
    await settle();
    const publisher = new FakePublisher();
    // The publisher's own id makes both ways known to lead to it.
    a.origin.announce("cam", publisher, [77n]);
    await settle();
    assert.equal(hopsTo(c, "cam"), 2);
    const viewer = new FakeViewer();
    view(c, "cam", "v", viewer);
    await settle();
    publisher.asked[0]!.group(0, "x");
    await settle();
    const direct = [...c.sessions].find(
      (session) => c.origin.find("cam")?.current.source === session.source,
    )!;
    (direct.transport as Mux).lost("cable cut");
    await settle();
    assert.equal(hopsTo(c, "cam"), 3);
    for (const track of publisher.asked) if (!track.closed) track.group(1, "y");
    await settle();
    assert.equal(viewer.payload(1), "y");
    assert.equal(viewer.ended, undefined);
  });

  test("a node that dies is dropped, its broadcasts with it, and is found again when it is back", async () => {
    const cluster = new Cluster();
    const root = cluster.add("root", []);
    const leaf = cluster.add("leaf", ["root"]);
    await settle();
    leaf.origin.announce("cam", new FakePublisher(), []);
    await settle();
    assert.ok(root.origin.find("cam"));
    cluster.kill("leaf");
    await settle();
    await cluster.clock.advance(5_000);
    assert.equal(root.origin.find("cam"), undefined);
    const again = cluster.add("leaf", ["root"]);
    again.origin.announce("cam", new FakePublisher(), []);
    await cluster.clock.advance(1_000);
    assert.ok(root.origin.find("cam"));
  });

  test("a listed relay is linked with until it is listed no more", async () => {
    const cluster = new Cluster();
    cluster.add("a", [], false);
    cluster.add("b", [], false);
    cluster.add("leaf", ["a"], false);
    await settle();
    cluster.list("leaf", "http://a/", "http://b/");
    await settle();
    assert.equal(cluster.linked("leaf"), 2);
    cluster.list("leaf");
    await settle();
    assert.equal(cluster.linked("leaf"), 1);
  });

  test("of two ways the one that costs less is taken, however long it is", async () => {
    const cluster = new Cluster();
    const a = cluster.add("a", [], false);
    cluster.add("b", ["a"], false);
    const c = cluster.add("c", ["b"], false);
    cluster.list("c", "http://a/?cost=5");
    await settle();
    a.origin.announce("cam", new FakePublisher(), [77n]);
    await settle();
    assert.equal(cluster.linked("c"), 2);
    assert.equal(hopsTo(c, "cam"), 3);
    cluster.list("c", "http://a/?cost=0");
    await settle();
    assert.equal(hopsTo(c, "cam"), 2);
  });

  test("without a mesh nobody is told of, nor connected with, but those named", async () => {
    const cluster = new Cluster();
    const root = cluster.add("root", []);
    cluster.add("a", ["root"], true, false);
    cluster.add("b", ["root"]);
    await settle();
    assert.deepEqual([cluster.linked("a"), cluster.linked("b")], [1, 1]);
    assert.equal(root.origin.find("internal/origins/http:a"), undefined);
  });

  test("one that cannot be reached is tried again, ever less often, within a bound", async () => {
    const cluster = new Cluster();
    cluster.add("leaf", ["nowhere"]);
    await cluster.clock.advance(3_600_000);
    assert.ok(cluster.dials > 300 && cluster.dials < 800, String(cluster.dials));
    cluster.add("nowhere", []);
    await cluster.clock.advance(10_000);
    assert.equal(cluster.linked("leaf"), 1);
  });

  test("clients neither see nor forge what relays tell each other", async () => {
    const cluster = new Cluster();
    const root = cluster.add("root", []);
    const pair = muxPair(cluster.clock, "qmux-02", 5);
    const client = relayOn(cluster.clock);
    client.accept(pair.client, openGrant());
    root.accept(pair.server, openGrant());
    client.origin.announce("internal/origins/evil.example", new FakePublisher(), []);
    await settle();
    assert.equal(client.origin.find("internal/origins/http:root"), undefined);
    assert.equal(root.origin.find("internal/origins/evil.example"), undefined);
  });
});
