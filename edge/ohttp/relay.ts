import { joinBytes } from "#core/bytes.ts";
import type { Clock, Instant } from "#core/clock.ts";
import { RelayError } from "#core/errors.ts";
import { type HeaderList, Reply } from "#wire/http/reply.ts";
import { pathOf, type RelayRequest, readBody } from "#wire/http/request.ts";
import type { Match, Routes } from "#wire/http/router.ts";
import { decodeKeyConfig, decodeKeyConfigList, type KeyConfig } from "#wire/ohttp/key-config.ts";
import { ohttpKeysType, ohttpRequestType, ohttpResponseType } from "#wire/ohttp/media-types.ts";
import { OhttpError } from "#wire/ohttp/suite.ts";
import { keyFingerprint } from "./key-fingerprint.ts";

/** Where clients send capsules that are meant for the configured gateway. */
export const relayPath = "/ohttp-relay";
/** Where a mailbox relay's gateway is; its key is at the same path with `-key` behind it. */
const mailboxGatewayPath = "/v2/ohttp";
const keysMaxBytes = 4096;
const keysKeptMs = 300_000;

export interface OhttpRelaySetup {
  /** The gateway's URL: one of RFC 9458, or a mailbox relay's `/v2/ohttp`. */
  readonly target: string;
  readonly maxBytes: number;
  /** Capsules under way at once. */
  readonly maxPassing: number;
  readonly timeoutMs: number;
  readonly clock: Clock;
  /** The public keys of this process's own gateway, which must not be the target. */
  readonly ownKeys: () => Promise<readonly Uint8Array[]>;
  /** Outbound HTTP; sends nothing of its own accord beside what it is given. */
  readonly fetch: typeof globalThis.fetch;
  readonly report: (error: unknown) => void;
}

/** The configured gateway is this process: whoever relays to itself sees both who asks and what. */
export class OwnGatewayError extends Error {
  override readonly name = "OwnGatewayError";
  override readonly message =
    "the OHTTP relay's target is this relay's own gateway; it must be somebody else's";
}

/**
 * The OHTTP relay of RFC 9458, 6.2: passes capsules on and answers back, and nothing else either way. The gateway sees
 * this process's address, a media type and a body.
 *
 * In front of a mailbox relay's gateway it is also found where that relay's clients look for one: `/v2/ohttp` and
 * `/v2/ohttp-key`, below `relayPath` and, with `atRoot`, at the top.
 */
export function ohttpRelayRoutes(setup: OhttpRelaySetup, atRoot: boolean): Routes {
  const relay = new OhttpRelay(setup);
  const answers = new Map<string, (request: RelayRequest) => Promise<Response>>();
  answers.set(relayPath, (request) => relay.answer(request));
  if (setup.target.endsWith(mailboxGatewayPath)) {
    for (const under of atRoot ? [relayPath, ""] : [relayPath]) {
      answers.set(`${under}${mailboxGatewayPath}`, (request) => relay.answerMailboxClient(request));
      answers.set(`${under}${mailboxGatewayPath}-key`, (request) => relay.answerMailboxKey(request));
    }
  }
  return (request): Match | undefined => {
    const path = pathOf(request);
    const answer = answers.get(path);
    return answer && { route: path, respond: () => answer(request) };
  };
}

const noStore: [string, string] = ["cache-control", "no-store"];
const empty = (status: number, headers: HeaderList = []) => new Reply(status, [noStore, ...headers]);

class OhttpRelay {
  readonly #setup: OhttpRelaySetup;
  #keys: { bytes: Uint8Array<ArrayBuffer>; until: Instant } | undefined;
  #asking: Promise<Uint8Array<ArrayBuffer>> | undefined;
  #passing = 0;

  constructor(setup: OhttpRelaySetup) {
    this.#setup = setup;
  }

  /** At `relayPath`: GET answers the gateway's keys, POST passes a capsule on. */
  async answer(request: RelayRequest): Promise<Response> {
    if (isRead(request)) {
      return this.#orRefuse(request, async () => {
        const keys = await this.#gatewayKeys();
        const seconds = Math.floor((this.#keys!.until - this.#setup.clock.now()) / 1000);
        const headers: HeaderList = [
          ["content-type", ohttpKeysType],
          // Whoever keeps them no longer than we do notices a change as soon as we.
          ["cache-control", `public, max-age=${seconds}`],
        ];
        return new Reply(200, headers, keys);
      });
    }
    if (request.method !== "POST") return empty(405, [["allow", "GET,HEAD,POST"]]);
    if (request.headers.get("content-type")?.split(";", 1)[0]?.trim() !== ohttpRequestType) return empty(415);
    return this.#orRefuse(request, () => this.#relay(request));
  }

  /** As the mailbox's clients post to a gateway, which does not ask for a media type. */
  async answerMailboxClient(request: RelayRequest): Promise<Response> {
    if (request.method !== "POST") return empty(405, [["allow", "POST"]]);
    return this.#orRefuse(request, () => this.#relay(request));
  }

  async answerMailboxKey(request: RelayRequest): Promise<Response> {
    if (!isRead(request)) return empty(405, [["allow", "GET"]]);
    return this.#orRefuse(request, async () => {
      const key = await this.#gatewayKeys();
      const headers: HeaderList = [
        ["content-type", ohttpKeysType],
        ["key-fingerprint", await keyFingerprint(key)],
        noStore,
      ];
      return new Reply(200, headers, key);
    });
  }

  async #orRefuse({ signal }: RelayRequest, answer: () => Promise<Response>): Promise<Response> {
    try {
      return await answer();
    } catch (error) {
      if (error instanceof RelayError) {
        const { status, retryAfterSeconds } = error;
        return empty(
          status,
          retryAfterSeconds === undefined ? [] : [["retry-after", String(retryAfterSeconds)]],
        );
      }
      // Whatever the gateway did or did not: the client learns that this way is closed, the operator why.
      if (!signal.aborted) this.#setup.report(new RelayError("internal", { cause: error }));
      return empty(502);
    }
  }

  async #relay(request: RelayRequest): Promise<Response> {
    const { maxBytes, maxPassing } = this.#setup;
    if (this.#passing >= maxPassing) throw new RelayError("rate_limited", { retryAfterSeconds: 1 });
    this.#passing++;
    try {
      const capsule = await readBody(request, maxBytes);
      // Known before anything is passed on, so that it never goes to ourselves.
      await this.#gatewayKeys();
      return await this.#passOn(capsule, request.signal);
    } finally {
      this.#passing--;
    }
  }

  async #passOn(capsule: Uint8Array, signal: AbortSignal): Promise<Response> {
    const { target, maxBytes } = this.#setup;
    const init = { method: "POST", headers: { "content-type": ohttpRequestType }, body: capsule.slice() };
    const answer = await this.#fetch(target, init, signal);
    const body = await readAtMost(answer, maxBytes);
    const type = answer.headers.get("content-type")?.split(";", 1)[0]?.trim();
    if (answer.ok)
      return type === ohttpResponseType
        ? new Reply(200, [["content-type", type], noStore], body)
        : empty(502);
    // A refusal is about the capsule alone: the client must see that its key is stale, or that it should wait.
    const isProblem = type === "application/problem+json" || type === "application/json";
    if (answer.status < 400 || answer.status > 499) return empty(502);
    if (!isProblem) return empty(answer.status);
    return new Reply(answer.status, [["content-type", type], noStore], body);
  }

  /** The gateway's keys as it sent them. Throws `OwnGatewayError`. */
  async #gatewayKeys(): Promise<Uint8Array<ArrayBuffer>> {
    if (this.#keys && this.#keys.until > this.#setup.clock.now()) return this.#keys.bytes;
    // Whoever comes while they are asked for waits for the same answer.
    this.#asking ??= this.#askForKeys().finally(() => {
      this.#asking = undefined;
    });
    return this.#asking;
  }

  async #askForKeys(): Promise<Uint8Array<ArrayBuffer>> {
    const { clock, target, ownKeys } = this.#setup;
    const answer = await this.#fetch(keysUrl(target), { headers: { accept: ohttpKeysType } });
    const bytes = await readAtMost(answer, keysMaxBytes);
    if (!answer.ok) throw new Error("the gateway answers no keys");
    const own = await ownKeys();
    for (const { publicKey } of configsIn(bytes)) {
      if (own.some((key) => key.every((byte, at) => byte === publicKey[at]))) throw new OwnGatewayError();
    }
    this.#keys = { bytes, until: clock.now() + keysKeptMs };
    return bytes;
  }

  async #fetch(url: string, init: RequestInit, signal?: AbortSignal): Promise<Response> {
    const { fetch, timeoutMs } = this.#setup;
    const timeout = AbortSignal.timeout(timeoutMs);
    try {
      return await fetch(url, {
        ...init,
        redirect: "error",
        credentials: "omit",
        // It bounds the answer's body too.
        signal: signal ? AbortSignal.any([timeout, signal]) : timeout,
      });
    } catch (cause) {
      // The system's word, such as ECONNREFUSED, is one cause further down, which the log does not show.
      const { cause: reason, message } = cause as Error;
      const why = reason instanceof Error ? reason.message : message;
      throw new Error(`the gateway cannot be reached: ${why}`, { cause });
    }
  }
}

function isRead({ method }: RelayRequest): boolean {
  return method === "GET" || method === "HEAD";
}

/** A mailbox relay has its key beside the gateway; one of RFC 9458 at the same URL. */
function keysUrl(target: string): string {
  return target.endsWith(mailboxGatewayPath) ? `${target}-key` : target;
}

function configsIn(bytes: Uint8Array): readonly KeyConfig[] {
  try {
    return [decodeKeyConfig(bytes)];
  } catch (error) {
    if (!(error instanceof OhttpError)) throw error;
    return decodeKeyConfigList(bytes);
  }
}

async function readAtMost(answer: Response, maxBytes: number): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  if (Number(answer.headers.get("content-length") ?? 0) > maxBytes) {
    await answer.body?.cancel();
    throw new Error("the gateway's answer is too large");
  }
  const reader = answer.body?.getReader();
  for (let next = await reader?.read(); next && !next.done; next = await reader!.read()) {
    length += next.value.byteLength;
    if (length > maxBytes) {
      await reader!.cancel();
      throw new Error("the gateway's answer is too large");
    }
    chunks.push(next.value);
  }
  return joinBytes(chunks);
}
