import type { Decoder } from "../decoder.ts";
import type { Draft } from "./draft.ts";
import { IetfProtocolError } from "./error.ts";
import { decoderOf } from "./integers.ts";

/**
 * Which groups a subscriber wants. A group is sent whole or not at all: where a filter begins or ends inside one, that
 * one is sent.
 *
 * `back`: so many groups before the next one to begin, 0 being that one and 1 the latest there is.
 */
export type Filter =
  | { kind: "relative"; back: number }
  | { kind: "absolute"; start: number; end: number | undefined };

/**
 * From the latest group on, which can be decoded from its start: what a track is joined with. It stands for no filter and
 * for the next object as well.
 */
export const latestGroup: Filter = { kind: "relative", back: 1 };

const filterType = { nextGroup: 1, largestObject: 2, absoluteStart: 3, absoluteRange: 4 } as const;

/** A filter whose type stands before it, up to draft 19. */
export function decodeTypedFilter(from: Decoder, draft: Draft): Filter {
  const type = from.varint();
  if (type === filterType.nextGroup) return { kind: "relative", back: 0 };
  if (type === filterType.largestObject) return latestGroup;
  if (type !== filterType.absoluteStart && type !== filterType.absoluteRange) {
    throw new IetfProtocolError("an unknown filter");
  }
  const start = from.varint();
  const object = from.varint();
  if (type === filterType.absoluteStart) {
    return start === 0 && object === 0 ? latestGroup : absolute(start, undefined);
  }
  const end = from.varint();
  return absolute(start, draft.endDelta ? start + end : end);
}

function absolute(start: number, end: number | undefined): Filter {
  if (end !== undefined && end < start) throw new IetfProtocolError("a range ends before it starts");
  return { kind: "absolute", start, end };
}

/** The value of the filter parameter. */
export function decodeFilter(value: Uint8Array, draft: Draft): Filter {
  const from = decoderOf(value, draft);
  const filter = draft.filterFields ? decodeFields(from) : decodeTypedFilter(from, draft);
  from.end();
  return filter;
}

/** How many integers there are says what they mean (draft 20). */
function decodeFields(from: Decoder): Filter {
  const fields: number[] = [];
  while (from.left > 0 && fields.length < 4) fields.push(from.varint());
  const [start, object, delta] = fields;
  if (start === undefined) return latestGroup;
  if (object === undefined) return { kind: "relative", back: start };
  // Two zeros stand for the next object: from its group on.
  if (fields.length === 2 && start === 0 && object === 0) return latestGroup;
  return absolute(start, delta === undefined ? undefined : start + delta);
}

/**
 * No filter, as published clients write it. It is what we ask with: publishers of this family begin with the latest group
 * then, and after its latest object, which leaves that group without a head, where they are asked for the next object.
 */
export const encodeNoFilter = (draft: Draft): Uint8Array =>
  draft.filterFields ? new Uint8Array() : Uint8Array.of(filterType.absoluteStart, 0, 0);
