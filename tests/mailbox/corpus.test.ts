import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { performInner } from "#modes/mailbox/oblivious.ts";
import { mailboxInProcess } from "#tests/support/mailbox-in-process.ts";
import { decodeBinaryHttp } from "#wire/bhttp/decode.ts";
import { BinaryHttpError } from "#wire/bhttp/message.ts";
import { openRequest } from "#wire/ohttp/gateway.ts";
import { decodeKeyConfig, decodeKeyConfigList } from "#wire/ohttp/key-config.ts";
import { deriveGatewayKey, OhttpError } from "#wire/ohttp/suite.ts";

// Inputs that were found or thought of, kept for good: each decoder takes or refuses them, and does nothing else.

function corpus(of: string): { name: string; bytes: Uint8Array }[] {
  const folder = new URL(`corpus/${of}/`, import.meta.url);
  return readdirSync(folder).map((name) => ({
    name,
    bytes: new Uint8Array(readFileSync(new URL(name, folder))),
  }));
}

test("Binary HTTP", () => {
  for (const { name, bytes } of corpus("binary-http")) {
    try {
      decodeBinaryHttp(bytes);
    } catch (error) {
      assert.ok(error instanceof BinaryHttpError, name);
    }
  }
});

test("capsules and key configurations", async () => {
  const key = await deriveGatewayKey(1, new Uint8Array(32).fill(9));
  for (const { name, bytes } of corpus("capsule")) {
    await assert.rejects(openRequest(key, bytes), OhttpError, name);
    for (const decode of [decodeKeyConfig, decodeKeyConfigList]) {
      try {
        decode(bytes);
      } catch (error) {
        assert.ok(error instanceof OhttpError, name);
      }
    }
  }
});

test("JSON bodies, to every endpoint and every action", async () => {
  const relay = await mailboxInProcess({ config: { mailboxRateLimit: 1_000_000, fetchWaitMs: 0 } });
  const headers = { "content-type": "application/json" };
  const { signal } = new AbortController();
  for (const { name, bytes } of corpus("json")) {
    for (const action of relay.mailbox.actions) {
      const answer = await relay.fetch(`/v2/${action}`, { method: "POST", headers, body: bytes.slice() });
      assert.ok([200, 400, 401, 429].includes(answer.status), `${name}: ${action} answers ${answer.status}`);
      let members: unknown;
      try {
        members = JSON.parse(new TextDecoder().decode(bytes));
      } catch {
        continue;
      }
      if (typeof members !== "object" || members === null) continue;
      const inner = { action, version: 2, members: members as Record<string, unknown> };
      const { body } = await performInner(inner, relay.mailbox, signal);
      assert.ok("status" in body, `${name}: ${action}`);
    }
  }
});
