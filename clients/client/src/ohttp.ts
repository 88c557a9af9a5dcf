import { decodeBinaryHttp } from "../../../wire/bhttp/decode.ts";
import { encodeBinaryHttp } from "../../../wire/bhttp/encode.ts";
import { BinaryHttpError } from "../../../wire/bhttp/message.ts";
import { encapsulateRequest } from "../../../wire/ohttp/client.ts";
import {
  decodeKeyConfig,
  decodeKeyConfigList,
  type KeyConfig,
  usableSuite,
} from "../../../wire/ohttp/key-config.ts";
import { ohttpRequestType, ohttpResponseType } from "../../../wire/ohttp/media-types.ts";
import { OhttpError } from "../../../wire/ohttp/suite.ts";
import { PosternError, type PosternErrorDetails } from "./errors.ts";
import { type Fetch, platformFetch } from "./inbox-http.ts";

/** Sizes that a request is filled to, so that its own shows in few steps. */
const rungs: readonly number[] = [512, 1024, 4096, 32_768];
const staleKeyType = "https://iana.org/assignments/http-problem-types#ohttp-key";

export interface OhttpFetchOptions {
  /** Where capsules go: an OHTTP relay in front of the gateway, or the gateway itself (which then sees who asks). */
  readonly relayUrl: string | URL;
  /**
   * The gateway's key configuration, one or a list, as it was fetched; or how to fetch it, which is done again when the
   * gateway says that the key is stale. Get it some way that does not show the gateway who you are.
   */
  readonly keyConfig: Uint8Array | (() => Promise<Uint8Array>);
  readonly fetch?: Fetch;
}

/**
 * A `fetch` whose requests go through an OHTTP relay (RFC 9458) to a gateway: the relay learns who asks but not what,
 * the gateway what but not who. It sends nothing that was not asked for: no cookies, no user agent.
 *
 * @throws PosternError `option_invalid` here; `relay_unreachable`, `relay_refused` and `aborted` from each call
 */
export function createOhttpFetch({
  relayUrl,
  keyConfig,
  fetch = platformFetch,
}: OhttpFetchOptions): typeof globalThis.fetch {
  const capsulesTo = parseOhttpRelay(relayUrl);
  const keys = new Keys(keyConfig);
  return async (input, init) => {
    const request = new Request(input, init);
    const url = new URL(request.url);
    const message = encodeBinaryHttp(
      {
        kind: "request",
        method: request.method,
        scheme: url.protocol.slice(0, -1),
        authority: url.host,
        path: url.pathname + url.search,
        headers: [...request.headers],
        content: new Uint8Array(await request.arrayBuffer()),
      },
      { padTo: (length) => rungs.find((rung) => length <= rung) ?? Math.ceil(length / 32_768) * 32_768 },
    );
    const plain = await exchangeCapsule(message, capsulesTo, keys, fetch, request.signal);
    try {
      const answer = decodeBinaryHttp(plain);
      if (answer.kind !== "response") throw new BinaryHttpError("not a response");
      const isBare = [204, 205, 304].includes(answer.status);
      const headers = answer.headers.map(([name, value]): [string, string] => [name, value]);
      return new Response(isBare ? null : answer.content.slice(), { status: answer.status, headers });
    } catch (cause) {
      throw new PosternError("relay_refused", { message: "The gateway's answer is malformed.", cause });
    }
  };
}

export function parseOhttpRelay(relayUrl: string | URL): string {
  const url = URL.canParse(relayUrl) ? new URL(relayUrl) : undefined;
  if (url && /^https?:$/.test(url.protocol)) return url.href;
  throw new PosternError("option_invalid", {
    message: "relayUrl: expected a URL such as https://hop.example/ohttp-relay.",
    details: { option: "relayUrl" },
  });
}

/** A key configuration that is fetched once, and again when it is stale. */
export class Keys {
  readonly #source: OhttpFetchOptions["keyConfig"];
  #config: Promise<KeyConfig> | undefined;

  constructor(source: OhttpFetchOptions["keyConfig"]) {
    this.#source = source;
  }

  get(): Promise<KeyConfig> {
    const config = this.#config ?? this.#load();
    this.#config = config;
    config.catch(() => this.forget());
    return config;
  }

  /** True if there is a chance of another one. */
  forget(): boolean {
    this.#config = undefined;
    return typeof this.#source === "function";
  }

  async #load(): Promise<KeyConfig> {
    return readKeyConfig(typeof this.#source === "function" ? await this.#source() : this.#source);
  }
}

/** The first configuration that we can use, of one or a list. */
export function readKeyConfig(bytes: Uint8Array): KeyConfig {
  try {
    const configs = isBare(bytes) ? [decodeKeyConfig(bytes)] : decodeKeyConfigList(bytes);
    const usable = configs.find((config) => usableSuite(config) !== undefined);
    if (usable) return usable;
  } catch (cause) {
    if (!(cause instanceof OhttpError)) throw cause;
  }
  throw new PosternError("option_invalid", {
    message: "keyConfig: not a key configuration that can be used.",
    details: { option: "keyConfig" },
  });
}

function isBare(bytes: Uint8Array): boolean {
  try {
    decodeKeyConfig(bytes);
    return true;
  } catch {
    return false;
  }
}

/** Seals `message`, sends it, and opens the answer; once more with a fresh key where the first was stale. */
export async function exchangeCapsule(
  message: Uint8Array,
  relayUrl: string,
  keys: Keys,
  fetch: Fetch,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  for (let attempt = 0; ; attempt++) {
    const sealed = await encapsulateRequest(await keys.get(), message);
    const answer = await post(relayUrl, sealed.capsule, fetch, signal);
    if (answer.ok && mediaType(answer) === ohttpResponseType) {
      try {
        return sealed.openResponse(new Uint8Array(await answer.arrayBuffer()));
      } catch (cause) {
        throw new PosternError("relay_refused", { message: "The gateway's answer cannot be opened.", cause });
      }
    }
    const status = answer.status;
    const isStale = await isStaleKey(answer);
    // A relay in between may hide why: 502 can also mean a stale key.
    if (attempt > 0 || !(isStale || status === 502) || !keys.forget()) {
      const message = isStale ? "The gateway does not hold this OHTTP key any more." : undefined;
      throw new PosternError("relay_refused", {
        details: refusalDetails(answer),
        ...(message ? { message } : {}),
      });
    }
  }
}

export function refusalDetails({ status, headers }: Response): PosternErrorDetails {
  const seconds = Number.parseInt(headers.get("retry-after") ?? "", 10);
  return seconds >= 0 ? { status, retryAfterSeconds: seconds } : { status };
}

async function post(
  url: string,
  body: Uint8Array<ArrayBuffer>,
  fetch: Fetch,
  signal: AbortSignal | undefined,
): Promise<Response> {
  try {
    return await fetch(url, {
      method: "POST",
      headers: { "content-type": ohttpRequestType },
      body,
      credentials: "omit",
      cache: "no-store",
      redirect: "error",
      ...(signal ? { signal } : {}),
    });
  } catch (cause) {
    throw new PosternError(signal?.aborted ? "aborted" : "relay_unreachable", { cause });
  }
}

async function isStaleKey(answer: Response): Promise<boolean> {
  if (answer.status !== 400) return false;
  const body = (await answer.json().catch(() => ({}))) as { type?: unknown };
  return body.type === staleKeyType;
}

function mediaType(answer: Response): string | undefined {
  return answer.headers.get("content-type")?.split(";", 1)[0]?.trim();
}
