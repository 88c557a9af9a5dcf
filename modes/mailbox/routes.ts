import { RelayError } from "#core/errors.ts";
import type { HeaderList } from "#wire/http/reply.ts";
import { pathOf, preferWaitMs, type RelayRequest, readBody } from "#wire/http/request.ts";
import type { Match, Routes } from "#wire/http/router.ts";
import { bareReply, errorObject, errorReply, jsonReply } from "./answers.ts";
import type { Caller } from "./caller.ts";
import type { Mailbox } from "./mailbox.ts";
import { parseMembers, ShapeError } from "./members.ts";
import { declaredVersion, versionPolicyOf } from "./version-policy.ts";

const bodyMaxBytes = 128 * 1024;
/** JSON around a ciphertext. */
const sendEnvelopeBytes = 4096;

const endpoints: Readonly<Record<string, string>> = {
  "/v2/send": "send",
  "/v2/fetch": "fetch",
  "/v2/ack": "ack",
  "/v2/register": "register",
  "/v2/purge": "purge",
  "/v2/exchange/offer": "exchange_offer",
  "/v2/exchange/claim": "exchange_claim",
  "/v2/exchange/complete": "exchange_complete",
  "/v2/recovery/store": "recovery_store",
  "/v2/recovery/query": "recovery_query",
  "/v2/guardian/store": "guardian_store",
  "/v2/guardian/query": "guardian_query",
  "/v2/guardian/delete": "guardian_delete",
};

/** The HTTP face of the mailbox mode: `/v2/*` but the OHTTP part. */
export function mailboxRoutes(mailbox: Mailbox): Routes {
  const actions = new Map(Object.entries(endpoints).filter(([, action]) => mailbox.has(action)));
  // Clients without OHTTP post to the action's name.
  for (const action of new Set(actions.values())) actions.set(`/v2/${action}`, action);
  return (request): Match | undefined => {
    const path = pathOf(request);
    const action = actions.get(path);
    if (action !== undefined) {
      const respond = () => mailbox.traffic.count(() => answer(request, action, mailbox), isSuccess);
      return { route: `/v2/${action}`, respond };
    }
    if (path === "/v2/health") return { route: path, respond: () => answerHealth(request, mailbox) };
    return path === "/v2" || path.startsWith("/v2/")
      ? { route: "/v2/*", respond: async () => judge(request, mailbox, notFound) }
      : undefined;
  };
}

const isSuccess = ({ status }: Response): boolean => status < 400;

/** Tells whoever asks for a WebSocket to use the API; stands before the OHTTP part of `/v2` too. */
export const webSocketRefusalRoutes: Routes = (request) => {
  if (!asksForWebSocket(request)) return undefined;
  const path = pathOf(request);
  // Federation is off, or its edge had taken this; other relays come again later.
  if (path === "/federation")
    return { route: path, respond: async () => notFound([["connection", "close"]]) };
  return path === "/" || isMailboxPath(path) ? webSocketRefusal() : undefined;
};

/** The paths at which this mode answers whoever asks for a WebSocket, whatever else a WebSocket is for here. */
export function isMailboxPath(path: string): boolean {
  return ["/v2", "/federation"].some((own) => path === own || path.startsWith(`${own}/`));
}

function asksForWebSocket({ headers }: RelayRequest): boolean {
  return headers.get("upgrade")?.toLowerCase().includes("websocket") ?? false;
}

function webSocketRefusal(): Match {
  const error = "WebSocket not supported. Use /v2/ HTTP API.";
  return {
    route: "websocket",
    respond: async () => jsonReply(426, { error }, [["connection", "close"]]),
  };
}

/** The probes of the original's operators. */
export const probeRoutes: Routes = (request) => {
  const path = pathOf(request);
  if (path !== "/health" && path !== "/up" && path !== "/ready") return undefined;
  return { route: path, respond: async () => probe(request) };
};

/** Whether the relay is up, and nothing else: no version, no counts. */
function probe(request: RelayRequest): Response {
  if (request.method !== "GET" && request.method !== "HEAD") return bareReply(405, [["allow", "GET,HEAD"]]);
  return jsonReply(200, { status: "healthy" }, [["connection", "close"]]);
}

function notFound(headers: HeaderList = []): Response {
  return jsonReply(404, { error: "Not found. Use /health for status or /v2/ for the API." }, headers);
}

/** Who asks, as far as the edge knows. */
export function callerOf(request: RelayRequest): Caller {
  return {
    source: request.edge?.source,
    oblivious: request.edge?.oblivious === true,
    waitMs: preferWaitMs(request) ?? 0,
    signal: request.signal,
  };
}

async function answerHealth(request: RelayRequest, mailbox: Mailbox): Promise<Response> {
  return guarded(request, mailbox, "GET", async () => ({ status: "ok" }));
}

async function answer(request: RelayRequest, action: string, mailbox: Mailbox): Promise<Response> {
  return guarded(request, mailbox, "POST", async (caller) => {
    if (!isJson(request)) {
      throw new RelayError("unsupported_media_type", { text: "expected `Content-Type: application/json`" });
    }
    const maxBytes = action === "send" ? sendBodyMaxBytes(mailbox.config.maxMessageSizeBytes) : bodyMaxBytes;
    const body = await readBody(request, maxBytes);
    const members = parseMembers(body);
    const name = action === "send" ? request.headers.get("idempotency-key") : null;
    return mailbox.perform(action, name === null ? members : { ...members, idempotency_key: name }, caller);
  });
}

/** What a `send` of the largest ciphertext takes. */
export function sendBodyMaxBytes(messageMaxBytes: number): number {
  return Math.max(bodyMaxBytes, Math.ceil((messageMaxBytes * 4) / 3) + sendEnvelopeBytes);
}

/** What `proceed` answers, given the version headers; clients that are too old are told so instead. */
function judge<T extends Response | Promise<Response>>(
  request: RelayRequest,
  mailbox: Mailbox,
  proceed: (headers: HeaderList) => T,
): T | Response {
  const { min, warn } = versionPolicyOf(mailbox.config);
  const headers: HeaderList = [
    ["x-min-version", String(min)],
    ["x-warn-version", String(warn)],
  ];
  const verdict = mailbox.judgeVersion(declaredVersion(request.headers.get("x-app-compat-version")));
  if (verdict.kind === "refused") {
    return jsonReply(426, { error: "upgrade_required", min_version: min }, headers);
  }
  if (verdict.kind === "in-grace") headers.push(["x-upgrade-deadline", String(verdict.deadlineSeconds)]);
  return proceed(headers);
}

/** The gates before every endpoint, and what becomes of its failures. */
async function guarded(
  request: RelayRequest,
  mailbox: Mailbox,
  method: "GET" | "POST",
  perform: (caller: Caller) => Promise<unknown>,
): Promise<Response> {
  return judge(request, mailbox, (headers) => admitted(request, mailbox, method, perform, headers));
}

async function admitted(
  request: RelayRequest,
  mailbox: Mailbox,
  method: "GET" | "POST",
  perform: (caller: Caller) => Promise<unknown>,
  headers: HeaderList,
): Promise<Response> {
  if (request.method !== method && !(method === "GET" && request.method === "HEAD")) {
    return bareReply(405, [["allow", method], ...headers]);
  }
  try {
    const caller = callerOf(request);
    mailbox.admit(caller);
    return jsonReply(200, await perform(caller), [...headers, ...appliedWait(request, mailbox)]);
  } catch (error) {
    if (error instanceof ShapeError)
      return jsonReply(400, errorObject(`invalid request: ${error.message}`), headers);
    if (error instanceof RelayError) return errorReply(error, headers);
    throw error;
  }
}

function isJson({ headers }: RelayRequest): boolean {
  const type = headers.get("content-type")?.split(";", 1)[0]?.trim().toLowerCase() ?? "";
  return type === "application/json" || /^application\/[^/]+\+json$/.test(type);
}

/** `Preference-Applied` (RFC 7240, 3), where a wait was asked for. */
function appliedWait(request: RelayRequest, mailbox: Mailbox): HeaderList {
  const asked = preferWaitMs(request);
  if (asked === undefined || pathOf(request) !== "/v2/fetch") return [];
  return [["preference-applied", `wait=${Math.floor(Math.min(asked, mailbox.config.fetchWaitMs) / 1000)}`]];
}
