import { RelayError } from "#core/errors.ts";
import { errorReply } from "#wire/http/problem.ts";
import { Reply } from "#wire/http/reply.ts";
import { pathOf, type RelayRequest } from "#wire/http/request.ts";
import { emptyReply, type Match, type Routes } from "#wire/http/router.ts";
import { parseChannelId } from "#wire/rendezvous/channel-id.ts";
import { noStore, opaque } from "./answers.ts";
import { acknowledge, awaitAck, readAck, receive, store } from "./inbox.ts";
import { receiveOnce, storeAndWait } from "./link.ts";
import type { Rendezvous } from "./rendezvous.ts";

type Binding = (request: RelayRequest, id: () => string, rendezvous: Rendezvous) => Promise<Response>;

interface Resource {
  readonly route: string;
  readonly methods: Readonly<Record<string, Binding>>;
  readonly tooLong: "inbox_id_too_long" | "channel_id_too_long";
}

const inbox: Resource = {
  route: "/inbox/{id}",
  tooLong: "inbox_id_too_long",
  methods: { GET: receive, HEAD: receive, POST: store, DELETE: acknowledge },
};
const ack: Resource = {
  route: "/inbox/{id}/ack",
  tooLong: "inbox_id_too_long",
  methods: { GET: readAck, HEAD: readAck },
};
const awaiting: Resource = {
  route: "/inbox/{id}/await",
  tooLong: "inbox_id_too_long",
  methods: { GET: awaitAck, HEAD: awaitAck },
};
const link: Resource = {
  route: "/link/{id}",
  tooLong: "channel_id_too_long",
  methods: { GET: receiveOnce, HEAD: receiveOnce, POST: storeAndWait },
};

/** The segments are raw: an encoded slash is part of an id, `.` and `..` are ids. */
function resourceOf(segments: readonly string[]): Resource | undefined {
  if (segments.length === 3 && segments[2] !== "") {
    if (segments[1] === "inbox") return inbox;
    if (segments[1] === "link") return link;
  }
  if (segments.length === 4 && segments[1] === "inbox" && segments[2] !== "") {
    if (segments[3] === "ack") return ack;
    if (segments[3] === "await") return awaiting;
  }
  return undefined;
}

/** The HTTP face of the rendezvous mode: `/`, `/inbox/{id}`, its `/ack` and `/await`, and `/link/{id}`. */
export function rendezvousRoutes(rendezvous: Rendezvous): Routes {
  return (request): Match | undefined => {
    const path = pathOf(request);
    if (path === "/") return { route: "/", respond: async () => greet(request) };
    const segments = path.split("/", 5);
    const resource = resourceOf(segments);
    if (!resource) return undefined;
    const binding = resource.methods[request.method];
    if (!binding) {
      const allow = Object.keys(resource.methods).join(",");
      return { route: resource.route, respond: async () => emptyReply(405, [["allow", allow]]) };
    }
    return {
      route: resource.route,
      respond: () => answer(request, binding, readId(segments[2]!, resource), rendezvous),
    };
  };
}

/**
 * The id, or what is wrong with it. The original looks at an id that is not UTF-8 before it reads the body, and at one
 * that is too long after: the latter is told when the binding asks for the id.
 */
function readId(segment: string, { tooLong }: Resource): RelayError | (() => string) {
  try {
    const id = parseChannelId(segment, tooLong);
    return () => id;
  } catch (error) {
    if (!(error instanceof RelayError)) throw error;
    if (error.code === "id_not_utf8") return error;
    return () => {
      throw error;
    };
  }
}

/** The original's greeting, by which its operators check that it is up. */
function greet(request: RelayRequest): Reply {
  if (request.method !== "GET" && request.method !== "HEAD") return emptyReply(405, [["allow", "GET,HEAD"]]);
  return new Reply(200, [["content-type", "text/plain; charset=utf-8"]], "Http Relay");
}

async function answer(
  request: RelayRequest,
  binding: Binding,
  id: RelayError | (() => string),
  rendezvous: Rendezvous,
): Promise<Response> {
  try {
    if (id instanceof RelayError) throw id;
    return await binding(request, id, rendezvous);
  } catch (error) {
    if (!(error instanceof RelayError)) throw error;
    // The original's framework words these two, and as text.
    const framework = error.code === "body_too_large" || error.code === "id_not_utf8";
    return errorReply(request, error, framework ? "text/plain; charset=utf-8" : opaque, [noStore]);
  }
}
