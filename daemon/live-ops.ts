import { nodesOf } from "#modes/live/node-view.ts";
import { type SessionFilter, sessionFilters, sessionsOf, viewOf } from "#modes/live/session-view.ts";
import { type HeaderList, Reply } from "#wire/http/reply.ts";
import { pathOf, type RelayRequest, targetOf } from "#wire/http/request.ts";
import { liveError } from "#wire/live/error-code.ts";
import type { LiveParts } from "./live.ts";

type Page = (request: RelayRequest, query: URLSearchParams, id: string) => Promise<Reply>;

/** What an operator may ask of live, and do to it: what carries a request out, undefined for a path of others. */
export type LiveOps = (request: RelayRequest) => (() => Promise<Reply>) | undefined;

/**
 * `GET /nodes`; `GET /sessions`, `DELETE /sessions` and `DELETE /sessions/{id}`; `POST /sessions/revalidate`;
 * `POST /drain`. Undefined for any other path.
 */
export function liveOps({ live, peers }: LiveParts, drained: () => void): LiveOps {
  const end = (filter: SessionFilter): string[] => {
    const sessions = sessionsOf(live, filter);
    for (const session of sessions) session.close(liveError.cancel, "ended by the operator");
    return sessions.map(({ id }) => id);
  };
  const pages: Record<string, Record<string, Page>> = {
    "/nodes": { GET: async () => json(200, { nodes: nodesOf(live.relay, peers) }) },
    "/sessions": {
      GET: async (_request, query) => {
        const filter = filterOf(query);
        if (typeof filter === "string") return json(400, { error: filter });
        return json(200, { sessions: sessionsOf(live, filter).map((session) => viewOf(session, live)) });
      },
      DELETE: async (_request, query) => {
        const filter = filterOf(query);
        if (typeof filter === "string") return json(400, { error: filter });
        // A slip of the hand must not end every session.
        if (Object.keys(filter).length === 0)
          return json(400, { error: `Say which: ${sessionFilters.join(", ")}.` });
        return json(200, { ids: end(filter) });
      },
    },
    "/sessions/revalidate": {
      POST: async () => json(200, { ended: await live.recheck() }),
    },
    "/sessions/{id}": {
      DELETE: async (_request, _query, id) =>
        end({ id }).length === 0 ? json(404, { error: "No such session." }) : new Reply(204, []),
    },
    "/drain": {
      POST: async (_request, query) => {
        const uri = query.get("uri") ?? "";
        const sessions = live.relay.sessionCount;
        drained();
        void live.drain(uri);
        return json(202, { sessions });
      },
    },
  };
  return (request) => {
    const path = pathOf(request);
    const id = /^\/sessions\/([0-9a-f]{16})$/.exec(path)?.[1];
    const methods = pages[id === undefined ? path : "/sessions/{id}"];
    if (!methods) return undefined;
    const method = request.method === "HEAD" ? "GET" : request.method;
    const page = Object.hasOwn(methods, method) ? methods[method] : undefined;
    if (!page) return async () => new Reply(405, [["allow", Object.keys(methods).join(",")]]);
    // A browser that shows some page could be made to send this; no tool of an operator's names an origin.
    if (method !== "GET" && (request.headers.has("origin") || request.headers.has("sec-fetch-site")))
      return async () => json(403, { error: "Not from a web page." });
    const query = new URLSearchParams(targetOf(request).split("?").slice(1).join("?"));
    return () => page(request, query, id ?? "");
  };
}

const headers: HeaderList = [
  ["content-type", "application/json"],
  ["cache-control", "no-store"],
];

const json = (status: number, value: unknown): Reply =>
  new Reply(status, [...headers], `${JSON.stringify(value)}\n`);

/** A sentence where it is none. */
function filterOf(query: URLSearchParams): SessionFilter | string {
  const unknown = [...query.keys()].find((name) => !sessionFilters.some((filter) => filter === name));
  if (unknown !== undefined) return `Unknown filter. There are ${sessionFilters.join(", ")}.`;
  return Object.fromEntries(query);
}
