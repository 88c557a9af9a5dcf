import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";

interface Media {
  readonly schema: object;
}
interface Answer {
  readonly $ref?: string;
  readonly headers?: Readonly<Record<string, { readonly $ref?: string; readonly schema?: object }>>;
  readonly content?: Readonly<Record<string, Media>>;
}
interface Operation {
  readonly requestBody?: { readonly content: Readonly<Record<string, Media>> };
  readonly responses: Readonly<Record<string, Answer>>;
}
type Document = {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
};

const methods = ["get", "head", "post", "put", "delete"];
/** Headers that HTTP or CORS add to any answer, which no operation describes. */
const everywhere =
  /^(date|connection|keep-alive|content-length|content-type|content-encoding|vary|transfer-encoding|access-control-.*)$/;

/** `protocol/openapi.json`, to hold real requests and answers against; remembers which answers were seen. */
export class DescribedApi {
  readonly document: Document;
  readonly #ajv = new Ajv2020({ strict: false, validateFormats: false, allErrors: true });
  readonly #compiled = new Map<object, ValidateFunction>();
  readonly #seen = new Set<string>();

  constructor() {
    const file = new URL("../../protocol/openapi.json", import.meta.url);
    this.document = JSON.parse(readFileSync(file, "utf8"));
    // Readers of the description pass over members they do not know; our own answers have none that it lacks.
    this.#ajv.addSchema(closed(this.document) as object, "openapi");
  }

  /** Asks, and holds request and answer against the description. `route` is the path as it is written there. */
  async ask(base: string, method: string, route: string, init: RequestInit = {}): Promise<Response> {
    const response = await fetch(base + route, { ...init, method });
    await this.check(method, route, init, response);
    return response;
  }

  /** The same for an answer that is there already. A request that succeeds must be as described. */
  async check(method: string, route: string, init: RequestInit, response: Response): Promise<void> {
    const what = `${method} ${route} ${response.status}`;
    const operation = this.document.paths[route]?.[method.toLowerCase()];
    const known = operation?.responses[response.status] ?? this.#refusedMethod(route, response.status);
    assert.ok(known, `${what}: is described`);
    this.#seen.add(what);
    const answer = this.#resolved(known) as Answer;

    for (const [name, value] of response.headers) {
      if (everywhere.test(name)) continue;
      const described = Object.entries(answer.headers ?? {}).find(([key]) => key.toLowerCase() === name)?.[1];
      assert.ok(described, `${what}: header ${name} is described`);
      const { schema } = this.#resolved(described) as { schema: { type?: string } };
      this.#validate(`${what}: ${name}`, schema, schema.type === "integer" ? Number(value) : value);
    }
    const type = response.headers.get("content-type");
    const body = await response.clone().bytes();
    if (type === null) {
      assert.equal(body.byteLength, 0, `${what}: what has no type is empty`);
      return;
    }
    const media = answer.content?.[type] ?? answer.content?.["*/*"];
    assert.ok(media, `${what}: ${type} is described`);
    if (/json$/.test(type)) this.#validate(what, media.schema, JSON.parse(new TextDecoder().decode(body)));
    else if (answer.content?.[type] && type.startsWith("text/"))
      this.#validate(what, media.schema, new TextDecoder().decode(body));
    const sent = operation?.requestBody?.content["application/json"];
    if (response.ok && sent) this.#validate(`${what}: request`, sent.schema, JSON.parse(String(init.body)));
  }

  /** A connection became something else, which is no answer. */
  switched(method: string, route: string): void {
    assert.ok(this.document.paths[route]?.[method.toLowerCase()]?.responses["101"]);
    this.#seen.add(`${method} ${route} 101`);
  }

  /** Each operation whose path matches, with its method in upper case. */
  operations(paths: RegExp): readonly (readonly [method: string, path: string, operation: Operation])[] {
    return Object.entries(this.document.paths)
      .filter(([path]) => paths.test(path))
      .flatMap(([path, item]) =>
        methods.flatMap((method) =>
          item[method] ? [[method.toUpperCase(), path, item[method]] as const] : [],
        ),
      );
  }

  /** Described answers of these paths that nobody got yet. */
  unseen(paths: RegExp): readonly string[] {
    return this.operations(paths).flatMap(([method, path, { responses }]) =>
      Object.keys(responses)
        .map((status) => `${method} ${path} ${status}`)
        .filter((what) => (status405(what) ? !this.#seenRefusal(path) : !this.#seen.has(what))),
    );
  }

  /** A method that a path does not have is described at those it has. */
  #refusedMethod(route: string, status: number): Answer | undefined {
    if (status !== 405) return undefined;
    return Object.values(this.document.paths[route] ?? {}).find(({ responses }) => responses?.["405"])
      ?.responses["405"];
  }

  #seenRefusal(path: string): boolean {
    return [...this.#seen].some((what) => what.endsWith(` ${path} 405`));
  }

  #resolved(value: object): object {
    const pointer = (value as { $ref?: string }).$ref;
    if (pointer === undefined) return value;
    const [kind, name] = pointer.split("/").slice(2);
    return this.document.components[kind!]![name!] as object;
  }

  #validate(what: string, schema: object, value: unknown): void {
    let validate = this.#compiled.get(schema);
    if (!validate) {
      const own = JSON.parse(
        JSON.stringify(closed(schema)).replaceAll('"#/components', '"openapi#/components'),
      );
      validate = this.#ajv.compile(own);
      this.#compiled.set(schema, validate);
    }
    assert.ok(validate(value), `${what}: ${JSON.stringify(validate.errors)}`);
  }
}

const status405 = (what: string) => what.endsWith(" 405");

/** The same schemas, with no member allowed that they do not describe. */
function closed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(closed);
  if (typeof value !== "object" || value === null) return value;
  const copy = Object.fromEntries(Object.entries(value).map(([key, each]) => [key, closed(each)]));
  const isObject = typeof copy.properties === "object" && !("unevaluatedProperties" in copy);
  return isObject ? { ...copy, unevaluatedProperties: false } : copy;
}
