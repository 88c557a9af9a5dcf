import assert from "node:assert/strict";
import { test } from "node:test";
import { PeerAddressError, peerAddress } from "./peer-address.ts";

const refused = (url: string, allow: string[] = []) =>
  assert.rejects(peerAddress(new URL(url), allow), PeerAddressError, url);

test("[69] a peer is called at a public address alone", async () => {
  for (const url of [
    "http://8.8.8.8",
    "ws://127.0.0.1",
    "ws://10.0.0.1",
    "ws://172.16.0.1",
    "ws://192.168.1.1",
    "ws://169.254.1.1",
    "ws://0.0.0.0",
    "ws://100.64.0.1",
    "ws://198.18.0.1",
    "ws://224.0.0.1",
    "ws://255.255.255.255",
    "ws://[::1]",
    "ws://[::]",
    "ws://[fe80::1]",
    "ws://[fd00::1]",
    "ws://[ff02::1]",
    "ws://[::ffff:10.0.0.1]",
    "ws://[64:ff9b::a00:1]",
    "ws://[2002:a00:1::]",
    "ws://2130706433",
    "ws://0x7f.1",
    "ws://localhost",
    "ws://user@8.8.8.8",
    "ws://:secret@8.8.8.8",
  ]) {
    await refused(url);
  }
  for (const [url, address] of [
    ["wss://8.8.8.8", "8.8.8.8"],
    ["ws://172.32.0.1:9000/path", "172.32.0.1"],
    ["ws://[::ffff:8.8.8.8]", "::ffff:808:808"],
    ["ws://[2001:4860:4860::8888]", "2001:4860:4860::8888"],
  ] as const) {
    assert.equal((await peerAddress(new URL(url), [])).address, address);
  }
});

test("a host that the operator named may be private, and no other", async () => {
  assert.equal((await peerAddress(new URL("ws://127.0.0.1:1"), ["127.0.0.1"])).address, "127.0.0.1");
  assert.ok(await peerAddress(new URL("ws://localhost"), ["localhost"]));
  await refused("ws://127.0.0.2", ["127.0.0.1"]);
  await refused("ws://localhost", ["127.0.0.1"]);
});
