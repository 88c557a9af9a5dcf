import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { Validator } from "@seriousme/openapi-schema-validator";
import { type Postern, startPostern } from "#tests/support/postern.ts";

interface Media {
  readonly schema: { readonly enum?: readonly string[]; readonly const?: string; readonly $ref?: string };
}
interface Answer {
  readonly headers?: Readonly<Record<string, unknown>>;
  readonly content?: Readonly<Record<string, Media>>;
}
interface Description {
  readonly info: { readonly version: string };
  readonly paths: Record<string, Record<string, { responses: Record<string, { $ref?: string } & Answer> }>>;
  readonly components: {
    readonly headers: Record<string, unknown>;
    readonly responses: Record<string, Answer>;
    readonly schemas: { readonly Problem: { readonly required: readonly string[] } };
  };
}

const read = (name: string) => JSON.parse(readFileSync(new URL(`../../${name}`, import.meta.url), "utf8"));
const description: Description = read("protocol/openapi.json");
/** The rendezvous mode, of which every answer is sought out. */
const rendezvous = Object.entries(description.paths).filter(([path]) =>
  /^\/($|inbox|link|openapi)/.test(path),
);
const methods = ["get", "head", "post", "delete"];

/** `GET /inbox/{id} 200` of every answer that the description has. */
function* describedAnswers(): Generator<string> {
  for (const [path, item] of rendezvous) {
    for (const method of methods) {
      for (const status of Object.keys(item[method]?.responses ?? {}))
        yield `${method.toUpperCase()} ${path} ${status}`;
    }
  }
}

function described(method: string, route: string, status: number): Answer {
  const answer = description.paths[route]?.[method.toLowerCase()]?.responses[status];
  assert.ok(answer, `${method} ${route} ${status} is described`);
  return answer.$ref ? description.components.responses[answer.$ref.split("/").at(-1)!]! : answer;
}

/** The description's name of a path. */
function routeOf(path: string): string {
  return path.replace(/^\/(inbox|link)\/[^/]+/, "/$1/{id}");
}

const seen = new Set<string>();

/** Asks, and holds the answer against the description. */
async function ask(relay: Postern, method: string, path: string, init: RequestInit = {}): Promise<Response> {
  const response = await fetch(relay.url + path, { method, ...init });
  const route = routeOf(path);
  const says = described(method, route, response.status);
  const what = `${method} ${route} ${response.status}`;
  seen.add(what);

  for (const name of Object.keys(description.components.headers)) {
    if (response.headers.has(name)) assert.ok(says.headers?.[name], `${what}: ${name} is described`);
  }
  const type = response.headers.get("content-type");
  if (type === null) {
    assert.equal(says.content, undefined, `${what}: has no content`);
    return response;
  }
  const media = says.content?.[type] ?? says.content?.["*/*"];
  assert.ok(media, `${what}: ${type} is described`);
  if (method === "HEAD" || type === "text/event-stream") return response;
  const text = await response.clone().text();
  if (media.schema.enum) assert.ok(media.schema.enum.includes(text), `${what}: "${text}" is described`);
  if (media.schema.const) assert.equal(text, media.schema.const);
  if (type === "application/problem+json") {
    const problem = JSON.parse(text);
    for (const key of description.components.schemas.Problem.required)
      assert.ok(key in problem, `${what}: ${key}`);
    assert.equal(problem.status, response.status);
  }
  return response;
}

const tooLong = "a".repeat(257);
const post = (body: string): RequestInit => ({ body });
const reads = ["GET", "HEAD"];

describe("the OpenAPI description", () => {
  let quick: Postern;
  let patient: Postern;
  before(async () => {
    [quick, patient] = await Promise.all([
      startPostern(["--inbox-timeout", "60ms", "--link-timeout", "60ms", "--body-timeout", "100ms"]),
      startPostern(["--inbox-timeout", "10m", "--max-waiters-per-id", "1", "--refuse-empty"]),
    ]);
  });
  after(async () => {
    await quick[Symbol.asyncDispose]();
    await patient[Symbol.asyncDispose]();
  });

  test("is valid OpenAPI 3.1 and of this version", async () => {
    const validator = new Validator();
    const { valid, errors } = await validator.validate(read("protocol/openapi.json"));
    assert.ok(valid, JSON.stringify(errors));
    assert.equal(validator.version, "3.1");
    assert.equal(description.info.version, read("package.json").version);
  });

  test("is served as it stands in the repository", async () => {
    for (const method of reads) await ask(quick, method, "/openapi.json");
    assert.deepEqual(await (await fetch(`${quick.url}/openapi.json`)).json(), description);
    const refused = await fetch(`${quick.url}/openapi.json`, { method: "POST" });
    assert.equal(refused.status, 405);
    assert.equal(refused.headers.get("allow"), "GET,HEAD");
  });

  test("knows the answers that come at once", async () => {
    for (const method of reads) await ask(quick, method, "/");
    await ask(patient, "POST", "/inbox/a", { body: "hello", headers: { "content-type": "text/x-any" } });
    for (const method of reads) {
      await ask(patient, method, "/inbox/a", { headers: { prefer: "wait=1" } });
      await ask(patient, method, "/inbox/a/ack");
      await ask(patient, method, "/inbox/unused/ack");
      await ask(patient, method, "/inbox/unused/await");
    }
    const stop = new AbortController();
    await ask(patient, "GET", "/inbox/a", {
      headers: { accept: "text/event-stream" },
      signal: stop.signal,
    });
    stop.abort();
    await ask(patient, "DELETE", "/inbox/a", { headers: { "if-match": '"other"' } });
    await ask(patient, "DELETE", "/inbox/a");
    for (const method of reads) await ask(patient, method, "/inbox/a/await");
    await ask(patient, "GET", "/inbox/a/ack");
    await ask(patient, "DELETE", "/inbox/unused");
    await ask(patient, "DELETE", "/inbox/unused", { headers: { accept: "application/json" } });
    for (const path of ["/inbox/a", "/link/a"]) {
      await ask(patient, "POST", path, post("x".repeat(2049)));
      await ask(patient, "POST", path, {
        ...post("x".repeat(2049)),
        headers: { accept: "application/json" },
      });
      assert.equal((await ask(patient, "POST", path, post(""))).status, 400);
    }
    for (const id of [tooLong, "%FF"]) {
      for (const [path, ...more] of [
        [`/inbox/${id}`, "POST", "DELETE"],
        [`/inbox/${id}/ack`],
        [`/inbox/${id}/await`],
        [`/link/${id}`, "POST"],
      ] as const) {
        for (const method of [...reads, ...more]) {
          await ask(patient, method, path, method === "POST" ? post("x") : {});
          await ask(patient, method, path, {
            ...(method === "POST" ? post("x") : {}),
            headers: { accept: "application/problem+json" },
          });
        }
      }
    }
  });

  test("knows the ends of a wait", async () => {
    for (const method of reads) {
      await ask(quick, method, "/inbox/none");
      await ask(quick, method, "/link/none");
    }
    await ask(quick, "POST", "/inbox/a", post("x"));
    for (const method of reads) await ask(quick, method, "/inbox/a/await");
    await ask(quick, "POST", "/link/b", post("x"));
    for (const path of ["/inbox/slow", "/link/slow"]) {
      const stop = new AbortController();
      const endless = new ReadableStream({ start: (body) => body.enqueue(new TextEncoder().encode("x")) });
      const init = { body: endless, duplex: "half", signal: stop.signal } as RequestInit;
      assert.equal((await ask(quick, "POST", path, init)).status, 408);
      stop.abort();
    }
  });

  test("knows a link's answers", async () => {
    const taken = ask(patient, "POST", "/link/c", post("x"));
    await ask(patient, "GET", "/inbox/c");
    await ask(patient, "HEAD", "/link/c");
    await ask(patient, "GET", "/link/c");
    assert.equal((await taken).status, 200);

    const replaced = ask(patient, "POST", "/link/d", post("x"));
    await ask(patient, "GET", "/inbox/d");
    await ask(patient, "POST", "/inbox/d", post("y"));
    assert.equal((await replaced).status, 404);
  });

  test("knows the refusals of a full relay", async () => {
    await ask(patient, "POST", "/inbox/unread", post("x"));
    for (const path of ["/inbox/empty", "/inbox/unread/await", "/link/empty"]) {
      for (const method of reads) {
        const stop = new AbortController();
        const { signal } = stop;
        // One of the two takes the only place; the other is answered first.
        const both = [ask(patient, method, path, { signal }), ask(patient, method, path, { signal })];
        assert.equal((await Promise.race(both)).status, 503);
        stop.abort();
        await Promise.allSettled(both);
      }
    }
    await using full = await startPostern(["--max-entries", "1"]);
    await ask(full, "POST", "/inbox/first", post("x"));
    for (const path of ["/inbox/second", "/link/second"]) {
      assert.equal((await ask(full, "POST", path, post("x"))).status, 503);
      await ask(full, "POST", path, { ...post("x"), headers: { accept: "application/json" } });
    }
  });

  test("knows the answer to who asks too often", async () => {
    await using strict = await startPostern([
      "--rate-limit",
      "1",
      "--rate-burst",
      "1",
      "--trusted-proxies",
      "127.0.0.1",
    ]);
    const headers = { "x-forwarded-for": "203.0.113.7" };
    assert.equal((await fetch(strict.url, { headers })).status, 200);
    for (const [path, item] of rendezvous) {
      for (const method of methods.filter((name) => name in item)) {
        const answer = await ask(strict, method.toUpperCase(), path.replace("{id}", "a"), { headers });
        assert.equal(answer.status, 429);
      }
    }
  });

  test("has no answer that was not seen, failures of the machine aside", () => {
    const unseen = [...describedAnswers()].filter((answer) => !seen.has(answer) && !answer.endsWith(" 500"));
    assert.deepEqual(unseen, [
      "DELETE /inbox/{id} 503",
      "GET /inbox/{id}/ack 503",
      "HEAD /inbox/{id}/ack 503",
    ]);
  });
});
