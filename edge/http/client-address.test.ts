import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { ClientAddresses } from "./client-address.ts";

describe("whose request it is", () => {
  test("is the peer's address, IPv6 by its /64", () => {
    const addresses = new ClientAddresses([]);
    assert.equal(addresses.source("203.0.113.7", undefined), "203.0.113.7");
    assert.equal(addresses.source("::ffff:203.0.113.7", undefined), "203.0.113.7");
    const home = addresses.source("2001:db8:1:2:3:4:5:6", undefined);
    assert.equal(home, "2001:db8:1:2");
    assert.equal(addresses.source("2001:db8:1:2::1", undefined), home);
    assert.equal(addresses.source("2001:0DB8:0001:0002::", undefined), home);
    assert.notEqual(addresses.source("2001:db8:1:3::1", undefined), home);
    assert.equal(addresses.source("2001:db8::1", undefined), "2001:db8:0:0");
  });

  test("is nobody's for loopback and private addresses: they may be a proxy", () => {
    const addresses = new ClientAddresses([]);
    for (const local of [
      "127.0.0.1",
      "::1",
      "10.1.2.3",
      "192.168.0.1",
      "172.20.0.1",
      "fd00::1",
      "fe80::1%eth0",
      "::ffff:127.0.0.1",
    ]) {
      assert.equal(addresses.source(local, "203.0.113.7"), undefined, local);
    }
    assert.equal(addresses.source(undefined, undefined), undefined);
  });

  test("is taken from X-Forwarded-For only behind a trusted proxy, and never from what a client wrote there", () => {
    const addresses = new ClientAddresses(["127.0.0.1", "10.0.0.0/8", "2001:db8:ffff::/48"]);
    assert.equal(addresses.source("127.0.0.1", "203.0.113.7"), "203.0.113.7");
    assert.equal(addresses.source("127.0.0.1", "198.51.100.9, 203.0.113.7"), "203.0.113.7");
    assert.equal(addresses.source("127.0.0.1", "198.51.100.9, 203.0.113.7, 10.0.0.2"), "203.0.113.7");
    assert.equal(addresses.source("2001:db8:ffff::1", "[2001:db8:1:2::9]:4711"), "2001:db8:1:2");
    assert.equal(addresses.source("127.0.0.1", "203.0.113.7:50000"), "203.0.113.7");
    assert.equal(addresses.source("198.51.100.1", "203.0.113.7"), "198.51.100.1");
    assert.equal(addresses.source("127.0.0.1", "nonsense"), undefined);
    assert.equal(addresses.source("127.0.0.1", ""), undefined);
  });

  test("any header is survived", () => {
    const addresses = new ClientAddresses(["127.0.0.1"]);
    fc.assert(fc.property(fc.string(), (header) => void addresses.source("127.0.0.1", header)));
  });
});
