import { createHash, timingSafeEqual } from "node:crypto";
import { type HeaderList, Reply } from "#wire/http/reply.ts";
import { type Handler, pathOf, type RelayRequest } from "#wire/http/request.ts";
import { emptyReply } from "#wire/http/router.ts";
import type { BuildInfo } from "./build-info.ts";
import type { LiveOps } from "./live-ops.ts";
import type { Metrics } from "./telemetry.ts";

export interface OpsParts {
  readonly metrics: Metrics;
  readonly build: BuildInfo;
  /** False while starting and from the moment the daemon drains. */
  isReady(): boolean;
  /** What `/metrics` and all of live asks for; undefined lets everybody in. */
  readonly token?: string | undefined;
  /** X25519, what `/pubkey` tells; undefined without the mailbox. */
  readonly publicKey?: Uint8Array | undefined;
  /** Undefined where live is off. */
  readonly live?: LiveOps | undefined;
}

/** What operators and their tools ask: is it alive, does it take traffic, what does it count, which build is it. */
export function opsHandler({ metrics, build, isReady, token, publicKey, live }: OpsParts): Handler {
  const isAllowed = (request: RelayRequest) => token === undefined || bearerIs(request, token);
  const unauthorized = () =>
    new Reply(
      401,
      [
        ["www-authenticate", "Bearer"],
        ["content-type", "text/plain; charset=utf-8"],
      ],
      "Unauthorized",
    );
  const json = (status: number, value: unknown) =>
    new Reply(
      status,
      [
        ["content-type", "application/json"],
        ["cache-control", "no-store"],
      ],
      `${JSON.stringify(value)}\n`,
    );
  const pages: Record<string, (request: RelayRequest) => Promise<Response>> = {
    "/health": async () => json(200, { status: "ok" }),
    "/ready": async () => (isReady() ? json(200, { status: "ready" }) : json(503, { status: "draining" })),
    "/build-info": async () => json(200, build),
    "/pubkey": async () => {
      const type: HeaderList = [["content-type", "text/plain; charset=utf-8"]];
      if (!publicKey) return new Reply(404, type, "Noise not configured");
      return new Reply(200, type, Buffer.from(publicKey).toString("base64url"));
    },
    "/metrics": async (request) => {
      if (!isAllowed(request)) return unauthorized();
      return new Reply(
        200,
        [["content-type", metrics.registry.contentType]],
        await metrics.registry.metrics(),
      );
    },
    "/": async () =>
      new Reply(
        200,
        [["content-type", "text/plain; charset=utf-8"]],
        `Postern operations: /health /ready /metrics /pubkey /build-info${live ? " /nodes /sessions" : ""}\n`,
      ),
  };
  return async (request) => {
    const page = pages[pathOf(request)];
    const liveAnswer = page ? undefined : live?.(request);
    if (liveAnswer) return isAllowed(request) ? liveAnswer() : unauthorized();
    if (!page) return json(404, { error: "Not found. Try /health, /ready, /metrics or /build-info." });
    if (request.method !== "GET" && request.method !== "HEAD")
      return emptyReply(405, [["allow", "GET,HEAD"]]);
    return page(request);
  };
}

/** Compares hashes, so that time tells neither the token nor its length. */
function bearerIs(request: RelayRequest, token: string): boolean {
  const hash = (text: string) => createHash("sha256").update(text).digest();
  return timingSafeEqual(hash(request.headers.get("authorization") ?? ""), hash(`Bearer ${token}`));
}
