import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { PeerListError, parsePeer, parsePeerList } from "./peer-list.ts";

describe("a list of relays to connect with", () => {
  test("holds URLs, and objects that price a link and bring its token", () => {
    const list = parsePeerList(
      '["https://a.example/?cost=0&jwt=x", "tcp://b.example:4443/room", {"url": "unix:///run/c.sock", "cost": 7, "egress": 7, "token": "y"}]',
    );
    assert.deepEqual(
      list.map(({ url, cost }) => [url.href, cost]),
      [
        ["https://a.example/?jwt=x", 0],
        ["tcp://b.example:4443/room", 1],
        ["unix:///run/c.sock?jwt=y", 7],
      ],
    );
  });

  test("that says anything else is refused whole", () => {
    for (const bad of [
      "",
      "{}",
      "[1]",
      "[null]",
      '["relay.example"]',
      '["ftp://relay.example/"]',
      '["https://a.example/?cost=cheap"]',
      '["https://a.example/?cost="]',
      '[{"cost": 1}]',
      '[{"url": "https://a.example/", "cost": -1}]',
      '[{"url": "https://a.example/", "cost": 1, "egress": 2}]',
      '[{"url": "https://a.example/", "token": 1}]',
      '[{"url": "https://a.example/", "price": 1}]',
    ]) {
      assert.throws(() => parsePeerList(bad), PeerListError, bad);
    }
  });

  test("never brings anything but peers or a PeerListError, and the error quotes nothing", () => {
    fc.assert(
      fc.property(fc.oneof(fc.json(), fc.string()), (text) => {
        try {
          for (const { cost } of parsePeerList(text)) assert.ok(cost >= 0);
        } catch (error) {
          assert.ok(error instanceof PeerListError);
        }
      }),
    );
    assert.throws(() => parsePeer("nonsense://secret"), { message: "a peer is no URL" });
  });
});
