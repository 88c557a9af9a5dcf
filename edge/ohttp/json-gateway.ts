import type { Entropy } from "#core/clock.ts";
import { RelayError } from "#core/errors.ts";
import { type HeaderList, Reply } from "#wire/http/reply.ts";
import { pathOf, type RelayRequest, readBody } from "#wire/http/request.ts";
import type { Match, Routes } from "#wire/http/router.ts";
import { bucketOf, fetchRungOf, pad, unpad } from "#wire/mailbox/padding.ts";
import { ohttpKeysType, ohttpResponseType } from "#wire/ohttp/media-types.ts";
import { type Gateway, keyProblemType } from "./gateway.ts";
import { keyFingerprint } from "./key-fingerprint.ts";

/** Beside the ciphertext a capsule holds JSON, padding and its own header. */
const capsuleOverheadBytes = 8192;

/** What is done with the object in a capsule; the mailbox mode's part. */
export interface InnerApi<Inner> {
  /** Throws for what is not a request, with a message that quotes nothing of it. */
  parse(json: Uint8Array): Inner;
  perform(inner: Inner, signal: AbortSignal): Promise<{ readonly body: object; readonly isFetch: boolean }>;
  /** Largest ciphertext of one message. */
  readonly messageMaxBytes: number;
}

const headers: HeaderList = [
  ["x-content-type-options", "nosniff"],
  ["cache-control", "no-store"],
  ["cross-origin-resource-policy", "same-origin"],
];

function refusal(status: number, error: string, more: object = {}, extra: HeaderList = []): Reply {
  const body = JSON.stringify({ status: "error", error, ...more });
  return new Reply(status, [["content-type", "application/json"], ...headers, ...extra], body);
}

/**
 * OHTTP as the mailbox's clients speak it (mailbox protocol, "OHTTP"): one bare key configuration, and capsules that
 * hold padded JSON instead of Binary HTTP. Without a gateway both paths answer 404.
 */
export function jsonGatewayRoutes<Inner>(
  gateway: Gateway | undefined,
  api: InnerApi<Inner>,
  entropy: Entropy,
): Routes {
  return (request): Match | undefined => {
    const path = pathOf(request);
    if (path === "/v2/ohttp-key") return { route: path, respond: () => key(request, gateway) };
    if (path === "/v2/ohttp") return { route: path, respond: () => serve(request, gateway, api, entropy) };
    return undefined;
  };
}

async function key(request: RelayRequest, gateway: Gateway | undefined): Promise<Response> {
  if (request.method !== "GET" && request.method !== "HEAD") {
    return new Reply(405, [["allow", "GET"], ...headers]);
  }
  if (!gateway) return new Reply(404, [...headers]);
  const config = await gateway.keyConfig();
  const fingerprint = await keyFingerprint(config);
  return new Reply(
    200,
    [["content-type", ohttpKeysType], ["key-fingerprint", fingerprint], ...headers],
    config,
  );
}

async function serve<Inner>(
  request: RelayRequest,
  gateway: Gateway | undefined,
  api: InnerApi<Inner>,
  entropy: Entropy,
): Promise<Response> {
  if (request.method !== "POST") return new Reply(405, [["allow", "POST"], ...headers]);
  if (!gateway) return refusal(404, "ohttp not enabled");
  let capsule: Uint8Array;
  try {
    capsule = await readBody(request, Math.ceil((api.messageMaxBytes * 4) / 3) + capsuleOverheadBytes);
  } catch (error) {
    if (!(error instanceof RelayError)) throw error;
    return new Reply(
      error.status,
      [["content-type", "text/plain; charset=utf-8"], ...headers],
      error.message,
    );
  }
  const outcome = await gateway.open(capsule);
  const failed = "failed to decapsulate request";
  if (outcome.kind === "unknown-key") return refusal(400, failed, { type: keyProblemType });
  if (outcome.kind === "refused") return refusal(400, failed);
  if (outcome.kind === "busy") return refusal(429, "rate limit exceeded", {}, [["retry-after", "1"]]);
  if (outcome.kind === "unavailable") return refusal(503, "storage unavailable", {}, [["retry-after", "5"]]);
  const message = unpad(outcome.request);
  if (!message) return refusal(400, "invalid padding in OHTTP request");
  let inner: Inner;
  try {
    inner = api.parse(message);
  } catch (error) {
    return refusal(400, `invalid inner request JSON: ${(error as Error).message}`);
  }
  const { body, isFetch } = await api.perform(inner, request.signal);
  const json = new TextEncoder().encode(JSON.stringify(body));
  const size = isFetch ? fetchRungOf(json.byteLength) : bucketOf(json.byteLength);
  const sealed = outcome.seal(pad(json, size, entropy));
  return new Reply(200, [["content-type", ohttpResponseType], ...headers], sealed);
}
