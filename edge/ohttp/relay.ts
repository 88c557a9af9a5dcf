import { joinBytes } from "#core/bytes.ts";
import type { Clock, Instant } from "#core/clock.ts";
import { RelayError } from "#core/errors.ts";
import { Reply } from "#wire/http/reply.ts";
import { pathOf, type RelayRequest, readBody } from "#wire/http/request.ts";
import type { Match, Routes } from "#wire/http/router.ts";
import { decodeKeyConfig, decodeKeyConfigList, type KeyConfig } from "#wire/ohttp/key-config.ts";
import { ohttpKeysType, ohttpRequestType, ohttpResponseType } from "#wire/ohttp/media-types.ts";
import { OhttpError } from "#wire/ohttp/suite.ts";

/** Where clients send capsules that are meant for the configured gateway. */
export const relayPath = "/ohttp-relay";
const keysMaxBytes = 4096;
const keysKeptMs = 300_000;

export interface OhttpRelaySetup {
  /** The gateway's URL: one of RFC 9458, or a mailbox relay's `/v2/ohttp`. */
  readonly target: string;
  readonly maxBytes: number;
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
 */
export function ohttpRelayRoutes(setup: OhttpRelaySetup): Routes {
  const relay = new OhttpRelay(setup);
  return (request): Match | undefined =>
    pathOf(request) === relayPath ? { route: relayPath, respond: () => relay.answer(request) } : undefined;
}

class OhttpRelay {
  readonly #setup: OhttpRelaySetup;
  #keys: { bytes: Uint8Array<ArrayBuffer>; until: Instant } | undefined;

  constructor(setup: OhttpRelaySetup) {
    this.#setup = setup;
  }

  async answer(request: RelayRequest): Promise<Response> {
    const { maxBytes, report } = this.#setup;
    try {
      if (request.method === "GET" || request.method === "HEAD") {
        return new Reply(200, [["content-type", ohttpKeysType]], await this.#gatewayKeys());
      }
      if (request.method !== "POST") return new Reply(405, [["allow", "GET,HEAD,POST"]]);
      if (request.headers.get("content-type")?.split(";", 1)[0]?.trim() !== ohttpRequestType)
        return new Reply(415, []);
      const capsule = await readBody(request, maxBytes);
      // Known before anything is passed on, so that it never goes to ourselves.
      await this.#gatewayKeys();
      return await this.#passOn(capsule);
    } catch (error) {
      if (error instanceof RelayError) return new Reply(error.status, [], null);
      // Whatever the gateway did or did not: the client learns that this way is closed, the operator why.
      report(new RelayError("internal", { cause: error }));
      return new Reply(502, []);
    }
  }

  async #passOn(capsule: Uint8Array): Promise<Response> {
    const { target, maxBytes } = this.#setup;
    const answer = await this.#fetch(target, {
      method: "POST",
      headers: { "content-type": ohttpRequestType },
      body: capsule.slice(),
    });
    const body = await readAtMost(answer, maxBytes);
    const type = answer.headers.get("content-type")?.split(";", 1)[0]?.trim();
    if (answer.ok)
      return type === ohttpResponseType ? new Reply(200, [["content-type", type]], body) : new Reply(502, []);
    // A refusal is about the capsule alone: the client must see that its key is stale, or that it should wait.
    const isProblem = type === "application/problem+json" || type === "application/json";
    if (answer.status < 400 || answer.status > 499) return new Reply(502, []);
    return new Reply(answer.status, isProblem ? [["content-type", type]] : [], isProblem ? body : null);
  }

  /** The gateway's keys as it sent them. Throws `OwnGatewayError`. */
  async #gatewayKeys(): Promise<Uint8Array<ArrayBuffer>> {
    const { clock, target, ownKeys } = this.#setup;
    if (this.#keys && this.#keys.until > clock.now()) return this.#keys.bytes;
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

  #fetch(url: string, init: RequestInit): Promise<Response> {
    const { fetch, timeoutMs } = this.#setup;
    return fetch(url, {
      ...init,
      redirect: "error",
      credentials: "omit",
      signal: AbortSignal.timeout(timeoutMs),
    });
  }
}

/** A mailbox relay has its key beside the gateway; one of RFC 9458 at the same URL. */
function keysUrl(target: string): string {
  return target.endsWith("/v2/ohttp") ? `${target}-key` : target;
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
