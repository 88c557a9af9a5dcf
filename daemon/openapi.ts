import { readFileSync } from "node:fs";
import { Reply } from "#wire/http/reply.ts";
import { pathOf } from "#wire/http/request.ts";
import { emptyReply, type Routes } from "#wire/http/router.ts";

/** `GET /openapi.json`: the HTTP interface as OpenAPI 3.1, for programs. */
export function openApiRoutes(): Routes {
  const route = "/openapi.json";
  const text = readFileSync(new URL("../protocol/openapi.json", import.meta.url), "utf8");
  return (request) => {
    if (pathOf(request) !== route) return undefined;
    const readable = request.method === "GET" || request.method === "HEAD";
    return {
      route,
      respond: async () =>
        readable
          ? new Reply(200, [["content-type", "application/json"]], text)
          : emptyReply(405, [["allow", "GET,HEAD"]]),
    };
  };
}
