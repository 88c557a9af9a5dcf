import { RelayError } from "#core/errors.ts";
import { entityTag } from "#wire/http/etag.ts";
import { errorReply } from "#wire/http/problem.ts";
import { type HeaderList, Reply } from "#wire/http/reply.ts";
import { acceptsExplicitly, pathOf, type RelayRequest, targetOf } from "#wire/http/request.ts";
import { emptyReply, type Routes } from "#wire/http/router.ts";
import type { Knock } from "#wire/live/acceptor.ts";
import { announcedEvents } from "./announced-events.ts";
import { decodePath } from "./auth/session-path.ts";
import { covers, type Grant } from "./grant.ts";
import { type FetchedGroup, type FetchFailure, fetchGroup } from "./group-fetch.ts";
import type { Live } from "./live.ts";
import { stripPrefix } from "./path.ts";
import { SessionTraffic } from "./session-traffic.ts";

type Respond = (request: RelayRequest, live: Live, rest: string) => Promise<Response>;

const resources: readonly {
  base: string;
  route: string;
  rest: "none" | "needed";
  respond: Respond;
}[] = [
  { base: "/certificate.sha256", route: "/certificate.sha256", rest: "none", respond: certificate },
  { base: "/certificates.json", route: "/certificates.json", rest: "none", respond: certificates },
  { base: "/health", route: "/health", rest: "none", respond: health },
  { base: "/announced", route: "/announced", rest: "none", respond: announced },
  { base: "/announced", route: "/announced/{prefix}", rest: "needed", respond: announced },
  { base: "/fetch", route: "/fetch/{path}", rest: "needed", respond: fetchTrack },
];

/** The HTTP face of live, for programs without a session: readable from any origin, as the original's. */
export function liveRoutes(live: Live): Routes {
  return (request) => {
    const path = pathOf(request);
    for (const { base, route, rest, respond } of resources) {
      if (rest === "none" ? path !== base : !path.startsWith(`${base}/`)) continue;
      return {
        route,
        respond: () => guarded(request, () => respond(request, live, path.slice(base.length + 1))),
      };
    }
    return undefined;
  };
}

async function guarded(request: RelayRequest, respond: () => Promise<Response>): Promise<Response> {
  if (request.method !== "GET" && request.method !== "HEAD") return emptyReply(405, [["allow", "GET, HEAD"]]);
  try {
    return await respond();
  } catch (error) {
    if (error instanceof RelayError) return errorReply(request, error, "text/plain; charset=utf-8");
    throw error;
  }
}

const plain = (status: number, body: string, headers: HeaderList = []): Reply =>
  new Reply(status, [["content-type", "text/plain; charset=utf-8"], ...headers], body);

/** For load balancers. Where the mailbox is served too, its answer comes first: they agree on 200. */
async function health(): Promise<Response> {
  return plain(200, "ok\n", [["cache-control", "no-store"]]);
}

/** The hash a browser is given to trust our certificate. */
async function certificate(_request: RelayRequest, live: Live): Promise<Response> {
  const [hash] = await live.certificateHashes();
  return hash === undefined
    ? plain(404, "No certificate.")
    : plain(200, hash, [["cache-control", "no-cache"]]);
}

/** The same of every certificate that a client may meet, the current one first. */
async function certificates(_request: RelayRequest, live: Live): Promise<Response> {
  const hashes = await live.certificateHashes();
  const body = JSON.stringify({ certificates: hashes.map((sha256) => ({ sha256 })) });
  return new Reply(
    200,
    [
      ["content-type", "application/json"],
      ["cache-control", "no-cache"],
    ],
    body,
  );
}

/** What is announced below a prefix, relative to it: a line each, or JSON or a stream of events for who asks for it. */
async function announced(request: RelayRequest, live: Live, rest: string): Promise<Response> {
  const grant = await live.admitRequest(knockOf(request, rest));
  if (acceptsExplicitly(request, "text/event-stream") && request.method === "GET")
    return announcedEvents(grant, request.signal, live);
  const names: string[] = [];
  for (const { path } of live.relay.origin.broadcasts) {
    if (!grant.cluster && !live.relay.origin.shows(path, grant.root)) continue;
    const name = stripPrefix(grant.root, path);
    if (name !== undefined && covers(grant.get, name)) names.push(name);
  }
  names.sort();
  if (acceptsExplicitly(request, "application/json")) {
    return new Reply(200, [["content-type", "application/json"]], JSON.stringify({ broadcasts: names }));
  }
  return plain(200, names.join("\n"));
}

/** `/fetch/{broadcast}/{track}`: the payloads of one group, the latest or `?group=`. */
async function fetchTrack(request: RelayRequest, live: Live, rest: string): Promise<Response> {
  const slash = rest.lastIndexOf("/");
  if (slash <= 0 || slash === rest.length - 1) return plain(400, "The path needs a broadcast and a track.");
  const knock = knockOf(request, rest.slice(0, slash));
  const sequence = sequenceIn(knock.query);
  if (sequence === null) return plain(400, "The group is no number.");
  const grant = await live.admitRequest(knock);
  const path = readable(grant);
  if (path === undefined) throw new RelayError("unauthorized", { text: "This broadcast may not be watched" });
  const track = decodePath(rest.slice(slash + 1));
  const counts = new SessionTraffic(live.relay.traffic, () => grant.tier ?? "");
  const fetched = await live.fetchUnderway(() =>
    fetchGroup(
      live.relay,
      live.clock,
      { path, track, sequence, known: knownGroup(request) },
      { timeoutMs: live.options.liveFetchTimeoutMs, signal: request.signal },
    ),
  );
  if (fetched !== "busy") countFetch(counts, path, fetched);
  if (fetched === "busy") throw new RelayError("too_many_waiters", { retryAfterSeconds: 1 });
  if (fetched === "unchanged") return new Reply(304, [...groupHeaders(knownGroup(request)!)]);
  if (fetched === "timed_out") return plain(504, "No whole group came in time.");
  if (fetched === "not_found" || fetched === "aborted") return plain(404, "Not found.");
  return new Reply(
    200,
    [["content-type", "application/octet-stream"], ...groupHeaders(fetched.sequence)],
    fetched.payload,
  );
}

/** Asked for is counted as such, whatever came of it; only what exists, so that nobody makes up rows. */
function countFetch(counts: SessionTraffic, path: string, fetched: FetchedGroup | FetchFailure): void {
  if (fetched === "not_found") return;
  const traffic = counts.fetched(path);
  if (typeof fetched === "object") {
    traffic.groups++;
    traffic.frames += fetched.frames;
    traffic.bytes += fetched.payload.length;
  }
  counts.fetchEnded(path);
}

/** The broadcast a grant names by its path, if it may be read. */
const readable = (grant: Grant): string | undefined => (covers(grant.get, "") ? grant.root : undefined);

/** `undefined`: the latest; `null`: neither that nor a number. */
function sequenceIn(query: URLSearchParams): number | undefined | null {
  const group = query.get("group");
  if (group === null || group === "latest") return undefined;
  return /^\d{1,15}$/.test(group) ? Number(group) : null;
}

const groupHeaders = (sequence: number): HeaderList => [
  ["etag", entityTag(sequence)],
  ["cache-control", "no-cache"],
];

/** The group that the client has already, by `If-None-Match`. */
function knownGroup(request: RelayRequest): number | undefined {
  const tag = /^\s*(?:W\/)?"(\d{1,15})"\s*$/.exec(request.headers.get("if-none-match") ?? "")?.[1];
  return tag === undefined ? undefined : Number(tag);
}

function knockOf(request: RelayRequest, path: string): Knock {
  const target = targetOf(request);
  const mark = target.indexOf("?");
  return {
    path,
    query: new URLSearchParams(mark < 0 ? "" : target.slice(mark + 1)),
    authorization: request.headers.get("authorization") ?? undefined,
    host: URL.canParse(request.url) ? new URL(request.url).host : undefined,
    clientCertificate: request.edge?.clientCertificate,
  };
}
