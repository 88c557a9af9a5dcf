import type { Decoder } from "../decoder.ts";
import type { Encoder } from "../encoder.ts";
import { IetfProtocolError } from "./error.ts";

/** Most fields a namespace may have. */
export const fieldsMax = 32;

const strictText = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * A name of ours for what moq-transport names with bytes: `undefined` where there is none, because it is not text or has
 * a slash in it. Nobody publishes such a name here, nor is it found.
 */
export type Name = string | undefined;

function textOf(bytes: Uint8Array): Name {
  try {
    return strictText.decode(bytes);
  } catch {
    return undefined;
  }
}

/** A namespace as a path: its fields, joined by slashes. */
export function decodeNamespace(from: Decoder): Name {
  const count = from.varint();
  if (count > fieldsMax) throw new IetfProtocolError("a namespace has too many fields");
  const fields = Array.from({ length: count }, () => textOf(from.bytes()));
  const usable = fields.every((field) => field !== undefined && field !== "" && !field.includes("/"));
  return usable ? fields.join("/") : undefined;
}

export function encodeNamespace(to: Encoder, path: string): void {
  const fields = path === "" ? [] : path.split("/");
  to.varint(fields.length);
  for (const field of fields) to.string(field);
}

/** The name of a track may have any characters, but has to be text. */
export const decodeTrackName = (from: Decoder): Name => textOf(from.bytes());
