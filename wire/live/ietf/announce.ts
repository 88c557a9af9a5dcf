import type { Draft } from "./draft.ts";
import { IetfProtocolError } from "./error.ts";
import { decoderOf } from "./integers.ts";
import { encodeControl, messageType } from "./message.ts";
import { decodeNamespace, encodeNamespace, type Name } from "./namespace.ts";
import { decodeParameters, encodeParameters, type Parameters } from "./parameters.ts";
import { decodeRequestId, encodeRequestId } from "./request.ts";

/** Parameters of an announcement: HOP_PATH where both sides agreed on it, and it is a must then. */
const hopParameters = (hops: readonly bigint[] | undefined): Parameters =>
  hops === undefined ? {} : { hopPath: [...hops] };

function hopsOf({ hopPath }: Parameters, agreed: boolean): bigint[] {
  if (!agreed) return [];
  if (hopPath === undefined) throw new IetfProtocolError("an announcement does not say which way it came");
  return hopPath;
}

/** PUBLISH_NAMESPACE: tracks below `namespace` may be had of its sender. */
export interface PublishNamespace {
  id: number;
  namespace: Name;
  /** The publisher's first; empty unless HOP_PATH was agreed on. */
  hops: bigint[];
}

export const encodePublishNamespace = (
  id: number,
  namespace: string,
  hops: readonly bigint[] | undefined,
  draft: Draft,
): Uint8Array =>
  encodeControl(draft, messageType.publishNamespace, (body) => {
    encodeRequestId(body, id, draft);
    encodeNamespace(body, namespace);
    encodeParameters(body, hopParameters(hops), draft);
  });

export function decodePublishNamespace(
  body: Uint8Array,
  draft: Draft,
  hopsAgreed: boolean,
): PublishNamespace {
  const from = decoderOf(body, draft);
  const id = decodeRequestId(from, draft);
  const namespace = decodeNamespace(from);
  const parameters = decodeParameters(from, draft);
  from.end();
  return { id, namespace, hops: hopsOf(parameters, hopsAgreed) };
}

/** PUBLISH_NAMESPACE_DONE: names the request from 16 on, the namespace before (up to 16). */
export const encodePublishNamespaceDone = (id: number, namespace: string, draft: Draft): Uint8Array =>
  encodeControl(draft, messageType.publishNamespaceDone, (body) => {
    if (draft.namespaceIds) body.varint(id);
    else encodeNamespace(body, namespace);
  });

/** The request or the namespace that PUBLISH_NAMESPACE_DONE or _CANCEL names. */
export function decodeWithdrawal(body: Uint8Array, draft: Draft): { id: number } | { namespace: Name } {
  const from = decoderOf(body, draft);
  return draft.namespaceIds ? { id: from.varint() } : { namespace: decodeNamespace(from) };
}

/** SUBSCRIBE_NAMESPACE: its sender wants to know what there is below `prefix`. */
export interface SubscribeNamespace {
  id: number;
  prefix: Name;
  /** Namespaces are wanted; otherwise nothing but PUBLISH for each track, which we do not do (16 and 17). */
  wantsNamespaces: boolean;
}

/** Options of SUBSCRIBE_NAMESPACE. */
const namespacesOnly = 1;
const tracksOnly = 0;

export const encodeSubscribeNamespace = (id: number, prefix: string, draft: Draft): Uint8Array =>
  encodeControl(draft, draft.subscribeNamespaceType, (body) => {
    encodeRequestId(body, id, draft);
    encodeNamespace(body, prefix);
    if (draft.subscribeNamespaceOptions) body.varint(namespacesOnly);
    encodeParameters(body, {}, draft);
  });

export function decodeSubscribeNamespace(body: Uint8Array, draft: Draft): SubscribeNamespace {
  const from = decoderOf(body, draft);
  const id = decodeRequestId(from, draft);
  const prefix = decodeNamespace(from);
  const options = draft.subscribeNamespaceOptions ? from.varint() : namespacesOnly;
  if (options > 2) throw new IetfProtocolError("an unknown namespace option");
  decodeParameters(from, draft);
  from.end();
  return { id, prefix, wantsNamespaces: options !== tracksOnly };
}

/** NAMESPACE: there is one, named relative to the prefix asked for; with `hops`, in the form that has them. */
export const encodeNamespaceEntry = (
  suffix: string,
  hops: readonly bigint[] | undefined,
  draft: Draft,
): Uint8Array =>
  encodeControl(draft, messageType.namespace, (body) => {
    encodeNamespace(body, suffix);
    if (hops !== undefined) encodeParameters(body, hopParameters(hops), draft);
  });

export function decodeNamespaceEntry(
  bytes: Uint8Array,
  draft: Draft,
  hopsAgreed: boolean,
): { suffix: Name; hops: bigint[] } {
  const from = decoderOf(bytes, draft);
  const suffix = decodeNamespace(from);
  const hops = hopsAgreed ? hopsOf(decodeParameters(from, draft), true) : [];
  from.end();
  return { suffix, hops };
}

/** NAMESPACE_DONE: it is there no more. */
export const encodeNamespaceDone = (suffix: string, draft: Draft): Uint8Array =>
  encodeControl(draft, messageType.namespaceDone, (body) => encodeNamespace(body, suffix));

export function decodeNamespaceDone(bytes: Uint8Array, draft: Draft): Name {
  const from = decoderOf(bytes, draft);
  const suffix = decodeNamespace(from);
  from.end();
  return suffix;
}
