import type { Decoder } from "../decoder.ts";
import type { Encoder } from "../encoder.ts";
import type { Draft } from "./draft.ts";
import { mayRetry, type RefusalReason, refusalCode } from "./error.ts";
import { decoderOf } from "./integers.ts";
import { encodeControl, messageType } from "./message.ts";
import { decodeParameters, encodeParameters, type Parameters } from "./parameters.ts";

/** A request's id, as it stands at the beginning of a request. */
export function encodeRequestId(to: Encoder, id: number, draft: Draft): Encoder {
  to.varint(id);
  return draft.requiredDelta ? to.varint(0) : to;
}

export function decodeRequestId(from: Decoder, draft: Draft): number {
  const id = from.varint();
  if (draft.requiredDelta) from.varint();
  return id;
}

/** The id that an answer names, where requests share a stream. */
export const encodeAnsweredId = (to: Encoder, id: number, draft: Draft): Encoder =>
  draft.requestStreams ? to : to.varint(id);

/** The id at the beginning of a message on the control stream. */
export const readId = (body: Uint8Array, draft: Draft): number => decoderOf(body, draft).varint();

const skipAnsweredId = (from: Decoder, draft: Draft): void => {
  if (!draft.requestStreams) from.varint();
};

/** What is asked for: 14 has answers of its own for each. */
export type RequestKind =
  | "subscribe"
  | "fetch"
  | "publish"
  | "publishNamespace"
  | "subscribeNamespace"
  | "trackStatus";

const okTypes: Record<"publishNamespace" | "subscribeNamespace", number> = {
  publishNamespace: messageType.requestOk,
  subscribeNamespace: messageType.subscribeNamespaceOk,
};

/** Grants a request for namespaces. */
export const encodeNamespaceOk = (
  kind: "publishNamespace" | "subscribeNamespace",
  id: number,
  draft: Draft,
): Uint8Array =>
  encodeControl(draft, draft.fixedFields ? okTypes[kind] : messageType.requestOk, (body) => {
    encodeAnsweredId(body, id, draft);
    if (!draft.fixedFields) encodeParameters(body, {}, draft);
  });

/** REQUEST_OK for anything else (15 and later). */
export const encodeRequestOk = (id: number, parameters: Parameters, draft: Draft): Uint8Array =>
  encodeControl(draft, messageType.requestOk, (body) => {
    encodeAnsweredId(body, id, draft);
    encodeParameters(body, parameters, draft);
  });

const errorTypes: Record<RequestKind, number> = {
  subscribe: messageType.requestError,
  fetch: messageType.fetchError,
  publish: messageType.publishError,
  publishNamespace: messageType.namespace,
  subscribeNamespace: messageType.subscribeNamespaceError,
  trackStatus: messageType.publishBlocked,
};

/** When to ask again, in ms, plus one; 0 says never. */
const retryLater = 1_001;

export interface RequestError {
  code: number;
  reason: string;
}

export const encodeRequestError = (
  kind: RequestKind,
  id: number,
  reason: RefusalReason,
  sentence: string,
  draft: Draft,
): Uint8Array =>
  encodeControl(draft, draft.fixedFields ? errorTypes[kind] : messageType.requestError, (body) => {
    encodeAnsweredId(body, id, draft).varint(refusalCode(reason, draft));
    if (draft.retryInterval) body.varint(mayRetry(reason) ? retryLater : 0);
    body.string(sentence);
  });

export function decodeRequestError(bytes: Uint8Array, draft: Draft): RequestError {
  const from = decoderOf(bytes, draft);
  skipAnsweredId(from, draft);
  const code = from.varint();
  if (draft.retryInterval) from.bigVarint();
  // Where to go instead may follow; we do not.
  return { code, reason: from.string() };
}

/** REQUEST_UPDATE, which was SUBSCRIBE_UPDATE up to 15. */
export interface RequestUpdate extends Parameters {
  /** Of the update itself, which is answered by it (15 and 16). */
  id: number;
  /** Of the request that changes; `undefined`: that of the stream. */
  existing: number | undefined;
}

export function decodeRequestUpdate(body: Uint8Array, draft: Draft): RequestUpdate {
  const from = decoderOf(body, draft);
  const id = decodeRequestId(from, draft);
  const existing = draft.requestStreams ? undefined : from.varint();
  if (draft.fixedFields) {
    from.varint(); // start group
    from.varint(); // start object
    from.varint(); // end group, plus one
    const update = { id, existing, subscriberPriority: from.u8(), forward: from.bool() };
    decodeParameters(from, draft);
    from.end();
    return update;
  }
  const parameters = decodeParameters(from, draft);
  from.end();
  return { id, existing, ...parameters };
}

export const encodeRequestUpdate = (
  { id, existing, ...parameters }: RequestUpdate,
  draft: Draft,
): Uint8Array =>
  encodeControl(draft, messageType.requestUpdate, (body) => {
    encodeRequestId(body, id, draft);
    if (existing !== undefined) body.varint(existing);
    if (draft.fixedFields) {
      body.varint(0).varint(0).varint(0);
      body.u8(parameters.subscriberPriority ?? 128).bool(parameters.forward ?? true);
      encodeParameters(body, {}, draft);
    } else {
      encodeParameters(body, parameters, draft);
    }
  });

/** UNSUBSCRIBE, UNSUBSCRIBE_NAMESPACE, FETCH_CANCEL, MAX_REQUEST_ID, REQUESTS_BLOCKED: a number, and nothing else. */
export const encodeNumber = (type: number, value: number, draft: Draft): Uint8Array =>
  encodeControl(draft, type, (body) => body.varint(value));

export function decodeNumber(bytes: Uint8Array, draft: Draft): number {
  const from = decoderOf(bytes, draft);
  const value = from.varint();
  from.end();
  return value;
}

/** GOAWAY: where to go, if it says so, and from 17 on how long there is to do it, 0 being no promise. */
export const encodeGoaway = (uri: string, draft: Draft): Uint8Array =>
  encodeControl(draft, messageType.goaway, (body) => {
    body.string(uri);
    if (draft.requestStreams) body.varint(0);
  });

export const decodeGoaway = (bytes: Uint8Array, draft: Draft): string => decoderOf(bytes, draft).string();
