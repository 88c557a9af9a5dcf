import { systemEntropy } from "#core/clock.ts";
import { bucketOf, pad, unpad } from "#wire/mailbox/padding.ts";
import { encapsulateRequest } from "#wire/ohttp/client.ts";
import { decodeKeyConfig } from "#wire/ohttp/key-config.ts";

export type Json = Record<string, unknown>;

export interface Called {
  /** Undefined where the answer came in a capsule, which hides it. */
  readonly status: number | undefined;
  // biome-ignore lint/suspicious/noExplicitAny: an answer may be anything; each test says what it expects
  readonly body: any;
  readonly headers: Headers;
}

/** Any way to reach `/v2`: over a socket or in process. */
export type Fetch = (path: string, init?: RequestInit) => Promise<Response>;

export interface MailboxApi {
  readonly name: "plain" | "ohttp";
  call(action: string, members: Json, headers?: Record<string, string>): Promise<Called>;
}

const paths: Readonly<Record<string, string>> = {
  exchange_offer: "exchange/offer",
  exchange_claim: "exchange/claim",
  exchange_complete: "exchange/complete",
  recovery_store: "recovery/store",
  recovery_query: "recovery/query",
  guardian_store: "guardian/store",
  guardian_query: "guardian/query",
  guardian_delete: "guardian/delete",
};

export function plainApi(fetch: Fetch): MailboxApi {
  return {
    name: "plain",
    async call(action, members, headers = {}) {
      const answer = await fetch(`/v2/${paths[action] ?? action}`, {
        method: "POST",
        headers: { "content-type": "application/json", ...headers },
        body: JSON.stringify(members),
      });
      const text = await answer.text();
      return {
        status: answer.status,
        body: text === "" ? undefined : JSON.parse(text),
        headers: answer.headers,
      };
    },
  };
}

/** Seals, sends and opens one capsule; resolves to the outer answer and, if that was 200, the padded plaintext. */
export async function sendCapsule(
  fetch: Fetch,
  inner: Uint8Array,
  key?: Uint8Array,
): Promise<{ outer: Response; padded: Uint8Array | undefined; capsule: Uint8Array }> {
  const config = key ?? new Uint8Array(await (await fetch("/v2/ohttp-key")).arrayBuffer());
  const sealed = await encapsulateRequest(decodeKeyConfig(config), inner);
  const outer = await fetch("/v2/ohttp", {
    method: "POST",
    headers: { "content-type": "message/ohttp-req" },
    body: sealed.capsule,
  });
  const padded = outer.ok
    ? sealed.openResponse(new Uint8Array(await outer.clone().arrayBuffer()))
    : undefined;
  return { outer, padded, capsule: sealed.capsule };
}

export function padJson(value: unknown): Uint8Array {
  return padBytes(new TextEncoder().encode(JSON.stringify(value)));
}

export function padBytes(bytes: Uint8Array): Uint8Array {
  return pad(bytes, bucketOf(bytes.byteLength), systemEntropy);
}

export function unpadJson(padded: Uint8Array): Json {
  return JSON.parse(new TextDecoder().decode(unpad(padded)!)) as Json;
}

export function ohttpApi(fetch: Fetch): MailboxApi {
  return {
    name: "ohttp",
    async call(action, members) {
      const { outer, padded } = await sendCapsule(fetch, padJson({ version: 2, action, ...members }));
      if (!padded) throw new Error(`the capsule was refused: ${outer.status}`);
      return { status: undefined, body: unpadJson(padded), headers: outer.headers };
    },
  };
}
