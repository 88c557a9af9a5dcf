import assert from "node:assert/strict";
import { test } from "node:test";
import { ohttpApi, plainApi } from "#tests/support/mailbox-api.ts";
import { opsUrlOf, startPostern } from "#tests/support/postern.ts";

/** The original's metrics: name, type, and the value after the requests below; undefined where the machine decides. */
const expected: readonly (readonly [name: string, type: string, value?: number])[] = [
  ["relay_connections_total", "counter"],
  ["relay_connections_active", "gauge"],
  ["relay_connection_errors_total", "counter", 0],
  ["relay_messages_received_total", "counter", 9],
  ["relay_messages_sent_total", "counter", 6],
  ["relay_messages_rejected_total", "counter", 3],
  ["relay_message_duration_seconds", "histogram"],
  ["relay_blobs_stored", "gauge", 1],
  ["relay_blobs_created_total", "counter", 2],
  ["relay_blobs_delivered_total", "counter", 2],
  ["relay_blobs_expired_total", "counter", 0],
  ["relay_recovery_proofs_active", "gauge", 1],
  ["relay_recovery_vouchers_total", "counter", 1],
  ["relay_rate_limited_total", "counter", 1],
  ["relay_panics_total", "counter", 0],
  ["relay_tokio_alive_tasks", "gauge", 0],
  ["relay_tokio_workers", "gauge"],
  ["relay_federation_peers_connected", "gauge", 0],
  ["relay_federation_peer_connections_total", "counter", 0],
  ["relay_federation_peer_connection_errors_total", "counter", 0],
  ["relay_federation_offloads_sent_total", "counter", 0],
  ["relay_federation_offloads_received_total", "counter", 0],
  ["relay_federation_offloads_rejected_total", "counter", 0],
  ["relay_federation_hints_active", "gauge", 0],
  ["relay_federation_hints_stored_total", "counter", 0],
  ["relay_federation_hints_expired_total", "counter", 0],
  ["relay_federation_drain_notices_total", "counter", 0],
  ["relay_federation_rate_limited_total", "counter", 0],
  ["process_cpu_seconds_total", "counter"],
  ["process_open_fds", "gauge"],
  ["process_max_fds", "gauge"],
  ["process_virtual_memory_bytes", "gauge"],
  ["process_resident_memory_bytes", "gauge"],
  ["process_threads", "gauge"],
  ["process_start_time_seconds", "gauge"],
];

test("the original's metrics are there, of their type, and true", async () => {
  await using postern = await startPostern([
    "-v",
    "--ops-listen",
    "127.0.0.1:0",
    "--mailbox-rate-limit",
    "2",
    "--federation",
  ]);
  const fetchAt = (path: string, init?: RequestInit) => fetch(postern.url + path, init);
  const plain = plainApi(fetchAt);
  const oblivious = ohttpApi(fetchAt);
  const mailbox = "a1".repeat(32);
  const message = { recipient_id: mailbox, ciphertext: "aGk=" };
  const first = await plain.call("send", message);
  await oblivious.call("send", message);
  assert.equal((await plain.call("send", message)).status, 429);
  assert.equal((await plain.call("send", {})).status, 400);
  assert.match((await oblivious.call("nonsense", {})).body.error, /unknown action/);
  await oblivious.call("fetch", { mailbox_tokens: [mailbox] });
  await plain.call("ack", { recipient_id: mailbox, blob_id: first.body.blob_id });
  await plain.call("register", { mailbox_tokens: [mailbox] });
  await plain.call("recovery_store", { key_hash: mailbox, proof_data: "aGk=" });

  const text = await (await fetch(`${await opsUrlOf(postern)}/metrics`)).text();
  for (const [name, type, value] of expected) {
    assert.match(text, new RegExp(`^# TYPE ${name} ${type}$`, "m"));
    const sample = type === "histogram" ? `${name}_count` : name;
    const measured = Number(new RegExp(`^${sample} (\\S+)$`, "m").exec(text)?.[1]);
    if (value !== undefined) assert.equal(measured, value, name);
    else assert.ok(measured > 0, `${name}: ${measured}`);
  }
  assert.match(text, /^relay_message_duration_seconds_bucket\{le="\+Inf"\} 9$/m);
});

test("what only rises is a counter, and nothing else is called a total", async () => {
  await using postern = await startPostern(["-v", "--ops-listen", "127.0.0.1:0", "--auth-public", ""]);
  const text = await (await fetch(`${await opsUrlOf(postern)}/metrics`)).text();
  const types = [...text.matchAll(/^# TYPE ((?:relay|postern)_\w+) (\w+)$/gm)];
  assert.ok(types.length > 30);
  for (const [, name, type] of types) assert.equal(name!.endsWith("_total"), type === "counter", name!);
});
