import type { Entry } from "#store/contract/rendezvous-store.ts";
import { httpDate } from "#wire/http/date.ts";
import { entityTag } from "#wire/http/etag.ts";
import { type HeaderList, Reply } from "#wire/http/reply.ts";
import { preferWaitMs, type RelayRequest } from "#wire/http/request.ts";
import type { Waiting } from "./rendezvous.ts";

/** The media type of every answer of the original that is not a stored message. */
export const opaque = "application/octet-stream";

export const noStore: [string, string] = ["cache-control", "no-store"];

/**
 * The producer's `Content-Type` where it can be sent back byte for byte: visible ASCII, spaces and tabs. Any other value
 * counts as absent, as the original has it.
 */
export function contentTypeOf(request: RelayRequest): string | undefined {
  const value = request.headers.get("content-type");
  return value !== null && /^[\t -~]*$/.test(value) ? value : undefined;
}

/** How long to wait: as `Prefer: wait=N` asks (RFC 7240), and no longer than the relay allows. */
export function waitingOf(request: RelayRequest, longestMs: number): Waiting & { applied: HeaderList } {
  const preferredMs = preferWaitMs(request);
  const waitMs = Math.min(preferredMs ?? longestMs, longestMs);
  const applied: HeaderList =
    preferredMs === undefined ? [] : [["preference-applied", `wait=${Math.floor(waitMs / 1000)}`]];
  return { waitMs, signal: request.signal, source: request.edge?.source, applied };
}

/** What every answer that carries a message says of it. */
export function messageHeaders(entry: Entry): HeaderList {
  return [
    ["content-type", entry.contentType ?? opaque],
    noStore,
    ["etag", entityTag(entry.version)],
    ["expires", httpDate(entry.expiresAt)],
  ];
}

export function emptySuccess(extra: HeaderList = []): Reply {
  return new Reply(200, [["content-type", opaque], noStore, ...extra], "");
}
