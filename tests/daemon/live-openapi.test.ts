import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { request as secureRequest } from "node:https";
import { after, before, describe, test } from "node:test";
import { generate, sign } from "@moq/token";
import { netClient } from "#tests/interop/live/clients.ts";
import { type Postern, startPostern, withOps } from "#tests/support/postern.ts";
import { temporaryFolder } from "#tests/support/temporary-folder.ts";

interface Schema {
  readonly $ref?: string;
  readonly type?: string;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly pattern?: string;
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
}
interface Described {
  readonly $ref?: string;
  readonly headers?: Readonly<Record<string, unknown>>;
  readonly content?: Readonly<Record<string, { readonly schema: Schema }>>;
}
interface Operation {
  readonly tags: readonly string[];
  readonly parameters?: readonly { readonly $ref?: string; readonly name?: string }[];
  readonly responses: Readonly<Record<string, Described>>;
}
interface Description {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
}

const description: Description = JSON.parse(
  readFileSync(new URL("../../protocol/openapi.json", import.meta.url), "utf8"),
);
const methods = ["get", "post", "delete"];

/** Every operation of live, and of operators on live. */
const operations = Object.entries(description.paths).flatMap(([path, item]) =>
  methods.flatMap((method) => {
    const operation = item[method];
    return operation?.tags.some((tag) => tag === "live" || tag === "operations")
      ? [{ path, method: method.toUpperCase(), operation }]
      : [];
  }),
);

function resolve<T extends { readonly $ref?: string }>(value: T): T {
  if (value.$ref === undefined) return value;
  const [, , kind, name] = value.$ref.split("/") as [string, string, string, string];
  return resolve(description.components[kind]![name] as T);
}

/** What of JSON Schema the description uses. */
function assertFits(value: unknown, of: Schema, where: string): void {
  const schema = resolve(of);
  if (schema.const !== undefined) assert.equal(value, schema.const, where);
  if (schema.enum) assert.ok(schema.enum.includes(value), `${where}: ${value}`);
  if (schema.pattern) assert.match(String(value), new RegExp(schema.pattern), where);
  if (schema.type === "array") {
    assert.ok(Array.isArray(value), where);
    for (const item of value) assertFits(item, schema.items ?? {}, `${where}[]`);
  } else if (schema.type === "object") {
    assert.ok(typeof value === "object" && value !== null && !Array.isArray(value), where);
    for (const name of schema.required ?? []) assert.ok(name in value, `${where}.${name} is there`);
    for (const [name, member] of Object.entries(value)) {
      if (!schema.properties) continue;
      assert.ok(schema.properties[name], `${where}.${name} is described`);
      assertFits(member, schema.properties[name], `${where}.${name}`);
    }
  } else if (schema.type === "integer") assert.ok(Number.isInteger(value), where);
  else if (schema.type !== undefined) assert.equal(typeof value, schema.type, where);
}

const seen = new Set<string>();

/** Asks, and holds the answer against the description of `route`. */
async function ask(base: string, route: string, path: string, init: RequestInit = {}): Promise<Response> {
  const response = await fetch(base + path, init);
  const text =
    response.headers.get("content-type") === "text/event-stream" ? "" : await response.clone().text();
  hold(route, init.method ?? "GET", response.status, response.headers, text);
  return response;
}

function hold(route: string, method: string, status: number, headers: Headers, text: string): void {
  const what = `${method} ${route} ${status}`;
  const answer = description.paths[route]?.[method.toLowerCase()]?.responses[status];
  assert.ok(answer, `${what} is described`);
  const says = resolve(answer);
  seen.add(what);
  for (const name of ["etag", "retry-after", "www-authenticate"]) {
    const isDescribed = Object.keys(says.headers ?? {}).some((header) => header.toLowerCase() === name);
    if (headers.has(name)) assert.ok(isDescribed, `${what}: ${name} is described`);
  }
  const type = headers.get("content-type");
  if (type === null) {
    assert.equal(says.content, undefined, `${what}: has no content`);
    return;
  }
  const media = says.content?.[type];
  assert.ok(media, `${what}: ${type} is described`);
  if (type === "text/event-stream" || type.startsWith("application/octet-stream")) return;
  const isJson = /json|issuer-directory/.test(type);
  assertFits(isJson ? JSON.parse(text) : text, media.schema, what);
}

const json = { accept: "application/json" };
const events = { accept: "text/event-stream" };

describe("the OpenAPI description of live", { timeout: 240_000 }, () => {
  const folder = temporaryFolder();
  const keyFile = folder.file("key.jwk");
  let key: Awaited<ReturnType<typeof generate>>;
  let open: Postern;
  let undecided: Postern;
  let issuer: Postern;
  before(async () => {
    key = await generate("ES256", "key-1");
    writeFileSync(keyFile, JSON.stringify(key));
    const bounds = [
      "--live-fetches-max",
      "1",
      "--live-event-streams-max",
      "1",
      "--live-fetch-timeout",
      "300ms",
    ];
    const own = ["--privacypass-enabled", "--privacypass-serve", "--privacypass-issuer", "relay.example"];
    [open, undecided, issuer] = await Promise.all([
      startPostern([...withOps, "--no-mailbox", "--auth-key", keyFile, "--auth-public", "anon", ...bounds]),
      startPostern([
        "--auth-api",
        "http://127.0.0.1:9/",
        "--privacypass-enabled",
        "--privacypass-issuer",
        "127.0.0.1:9",
      ]),
      startPostern([
        ...own,
        "--privacypass-serve-gate",
        "secret",
        "--privacypass-serve-secret",
        "s".repeat(16),
      ]),
    ]);
  });
  after(async () => {
    for (const postern of [open, undecided, issuer]) await postern[Symbol.asyncDispose]();
    folder[Symbol.dispose]();
  });

  test("knows what is there, who may see it, and who decides", async () => {
    const jwt = await sign(key, { root: "", get: "" });
    await ask(open.url, "/health", "/health");
    await ask(undecided.url, "/health", "/health");
    await ask(open.url, "/certificate.sha256", "/certificate.sha256");
    for (const [route, path] of [
      ["/announced", "/announced"],
      ["/announced/{prefix}", "/announced/anon/x"],
    ] as const) {
      const at = `${path}?jwt=${jwt}`;
      assert.equal((await ask(open.url, route, at)).status, 200);
      assert.equal((await ask(open.url, route, at, { headers: json })).status, 200);
      const feed = await ask(open.url, route, at, { headers: events });
      assert.equal(feed.status, 200);
      assert.equal((await ask(open.url, route, at, { headers: events })).status, 503);
      await feed.body?.cancel();
      while ((await fetch(open.url + at, { headers: events }).then(closed)) !== 200);
      assert.equal((await ask(open.url, route, `${path}?jwt=no`)).status, 401);
      assert.equal((await ask(open.url, route, `${path}?jwt=no`, { headers: json })).status, 401);
      assert.equal((await ask(issuer.url, route, path)).status, 401);
      assert.equal((await ask(undecided.url, route, path, { headers: json })).status, 502);
    }
    assert.equal((await ask(open.url, "/announced/{prefix}", "/announced/%FF")).status, 400);
  });

  test("knows what becomes of asking for a group", async () => {
    const route = "/fetch/{broadcast}/{track}";
    const publisher = await netClient()(new URL("/anon", open.url));
    publisher.publish("cam", (track) => void (track.name === "chat" && track.group("hello")));
    const isThere = async () => (await fetch(`${open.url}/announced/anon`)).text();
    while ((await isThere()) !== "cam");
    const found = await ask(open.url, route, "/fetch/anon/cam/chat");
    assert.equal(found.status, 200);
    const headers = { "if-none-match": found.headers.get("etag")! };
    assert.equal((await ask(open.url, route, "/fetch/anon/cam/chat?group=latest", { headers })).status, 304);
    assert.equal((await ask(open.url, route, "/fetch/anon/cam/chat?group=x")).status, 400);
    assert.equal((await ask(open.url, route, "/fetch/elsewhere/chat")).status, 401);
    assert.equal((await ask(open.url, route, "/fetch/anon/nothing/chat")).status, 404);
    const both = ["silent", "silent"].map((track) => ask(open.url, route, `/fetch/anon/cam/${track}`));
    assert.deepEqual((await Promise.all(both)).map(({ status }) => status).sort(), [503, 504]);
    assert.equal((await ask(undecided.url, route, "/fetch/anon/cam/chat")).status, 502);
    publisher.close();
  });

  test("knows private tokens, and the relay as their issuer", async () => {
    const at = "/challenge?path=room&op=subscribe";
    assert.equal((await ask(issuer.url, "/challenge", at)).status, 200);
    assert.equal((await ask(issuer.url, "/challenge", "/challenge?op=dance")).status, 400);
    assert.equal((await ask(open.url, "/challenge", at, { headers: json })).status, 501);
    assert.equal((await ask(undecided.url, "/challenge", at)).status, 502);
    const directory = "/.well-known/private-token-issuer-directory";
    assert.equal((await ask(issuer.url, directory, directory)).status, 200);
    const { "token-keys": keys } = (await (await fetch(issuer.url + directory)).json()) as {
      "token-keys": { "token-key": string }[];
    };
    const spki = Buffer.from(keys[0]!["token-key"], "base64url");
    const id = new Uint8Array(await crypto.subtle.digest("SHA-256", spki));
    const request = (bytes: number, type = "application/private-token-request") => {
      const body = new Uint8Array(bytes);
      body.set([0, 2, id.at(-1)!, 1].slice(0, bytes));
      const authorization = `Bearer ${"s".repeat(16)}`;
      return ask(issuer.url, "/token-request", "/token-request", {
        method: "POST",
        body,
        headers: { "content-type": type, authorization },
      });
    };
    assert.equal((await request(259)).status, 200);
    assert.equal((await request(258)).status, 422);
    assert.equal((await request(260)).status, 413);
    assert.equal((await request(259, "text/plain")).status, 415);
    const refused = await ask(issuer.url, "/token-request", "/token-request", { method: "POST" });
    assert.equal(refused.status, 401);
  });

  test("knows what operators may do", async () => {
    const ops = await open.opsUrl();
    const client = await netClient()(new URL("/anon", open.url));
    const origin = { origin: "https://page.example" };
    assert.equal((await ask(ops, "/nodes", "/nodes")).status, 200);
    assert.equal((await ask(ops, "/sessions", "/sessions?who=x")).status, 400);
    const listed = await ask(ops, "/sessions", "/sessions?path=anon");
    const { sessions } = (await listed.json()) as { sessions: { id: string }[] };
    const byHand = { method: "DELETE" };
    assert.equal((await ask(ops, "/sessions", "/sessions", byHand)).status, 400);
    assert.equal(
      (await ask(ops, "/sessions", "/sessions?tier=x", { ...byHand, headers: origin })).status,
      403,
    );
    assert.equal((await ask(ops, "/sessions", "/sessions?tier=x", byHand)).status, 200);
    const one = `/sessions/${sessions[0]!.id}`;
    assert.equal((await ask(ops, "/sessions/{id}", one, { ...byHand, headers: origin })).status, 403);
    assert.equal((await ask(ops, "/sessions/{id}", one, byHand)).status, 204);
    await client.closed;
    assert.equal((await ask(ops, "/sessions/{id}", one, byHand)).status, 404);
    for (const [path, status] of [
      ["/sessions/revalidate", 200],
      ["/drain", 202],
    ] as const) {
      assert.equal((await ask(ops, path, path, { method: "POST", headers: origin })).status, 403);
      assert.equal((await ask(ops, path, path, { method: "POST" })).status, status);
    }
    await using guarded = await startPostern([...withOps, "--auth-public", "", "--metrics-token", "s3cret"]);
    for (const { path, method, operation } of operations) {
      if (!operation.tags.includes("operations")) continue;
      const at = path.replace("{id}", "0123456789abcdef");
      assert.equal((await ask(await guarded.opsUrl(), path, at, { method })).status, 401);
    }
  });

  test("knows the hash of a certificate", async () => {
    const [cert, certKey] = [folder.file("tls.crt"), folder.file("tls.key")];
    const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
    const request = ["req", "-x509", ...curve, "-nodes", "-days", "10", "-subj", "/CN=localhost"];
    execFileSync("openssl", [...request, "-keyout", certKey, "-out", cert], { stdio: "ignore" });
    await using secure = await startPostern(["--auth-public", "", "--tls-cert", cert, "--tls-key", certKey]);
    for (const path of ["/certificate.sha256", "/certificates.json"]) {
      const { promise, resolve: answered } = Promise.withResolvers<Response>();
      secureRequest(secure.url + path, { rejectUnauthorized: false }, async (answer) => {
        const body = (await answer.toArray()).join("");
        answered(new Response(body, { headers: { "content-type": answer.headers["content-type"]! } }));
      }).end();
      const response = await promise;
      hold(path, "GET", 200, response.headers, await response.text());
    }
  });

  test("knows the answer to who asks too often", async () => {
    const limit = ["--rate-limit", "1", "--rate-burst", "1", "--trusted-proxies", "127.0.0.1"];
    const own = ["--privacypass-enabled", "--privacypass-serve", "--privacypass-issuer", "relay.example"];
    await using strict = await startPostern([...limit, ...own, "--privacypass-serve-gate", "open"]);
    const headers = { "x-forwarded-for": "203.0.113.7" };
    await fetch(strict.url, { headers });
    for (const { path, method, operation } of operations) {
      if (!operation.tags.includes("live")) continue;
      const at = path.replaceAll(/\{\w+\}/g, "a");
      assert.equal((await ask(strict.url, path, at, { method, headers })).status, 429, path);
    }
  });

  test("has no answer that was not seen", () => {
    const described = operations.flatMap(({ path, method, operation }) =>
      Object.keys(operation.responses).map((status) => `${method} ${path} ${status}`),
    );
    assert.deepEqual(
      described.filter((answer) => !seen.has(answer)),
      [],
    );
  });
});

/** Lets go of a stream. */
async function closed(response: Response): Promise<number> {
  await response.body?.cancel();
  return response.status;
}
