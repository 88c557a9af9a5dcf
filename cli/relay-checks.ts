import { once } from "node:events";
import { connect } from "node:tls";
import { createRendezvous, createSecret } from "#clients/client/src/index.ts";

/** What one look at a relay found. */
export interface Finding {
  readonly check: string;
  /** `warning`: it works, but not for everybody or not well. */
  readonly outcome: "ok" | "warning" | "failed";
  /** What was seen and, unless it is well, what to do. */
  readonly message: string;
  /** The same as numbers and words, for programs. Times in milliseconds. */
  readonly figures: Readonly<Record<string, number | string | boolean | null>>;
}

export interface Look {
  readonly relay: string;
  readonly signal: AbortSignal;
  /** Longest an answer may take. */
  readonly answerMaxMs: number;
}

const ok = (check: string, message: string, figures: Finding["figures"] = {}): Finding => {
  return { check, outcome: "ok", message, figures };
};
const warning = (check: string, message: string, figures: Finding["figures"] = {}): Finding => {
  return { check, outcome: "warning", message, figures };
};
const failed = (check: string, message: string, figures: Finding["figures"] = {}): Finding => {
  return { check, outcome: "failed", message, figures };
};

const ask = ({ relay, signal, answerMaxMs }: Look, path: string, init: RequestInit = {}): Promise<Response> =>
  fetch(`${relay.replace(/\/$/, "")}${path}`, {
    ...init,
    signal: AbortSignal.any([signal, AbortSignal.timeout(answerMaxMs)]),
  });

/** A failed connection in words: `fetch` hides the reason in the cause. */
function why(error: unknown): string {
  const { cause, message, name } = error as Error;
  if (name === "TimeoutError") return "no answer in time";
  if (cause instanceof AggregateError && cause.errors.length > 0) return (cause.errors[0] as Error).message;
  return cause instanceof Error ? cause.message : message;
}

const round = (ms: number) => Math.round(ms * 10) / 10;

/** Does anything answer, and how fast? */
export async function checkReachable(look: Look): Promise<Finding> {
  const times: number[] = [];
  let greeting = "";
  let status = 0;
  try {
    for (let at = 0; at < 6; at++) {
      const begin = performance.now();
      const response = await ask(look, "/", { headers: { accept: "text/plain" } });
      greeting = await response.text();
      status = response.status;
      times.push(performance.now() - begin);
    }
  } catch (error) {
    look.signal.throwIfAborted();
    return failed("reachable", `No: ${why(error)}. Is the URL right, does the relay run, is its port open?`);
  }
  const [firstMs, ...later] = times.map(round);
  const latencyMs = later.toSorted((a, b) => a - b)[2]!;
  const figures = { status, firstMs: firstMs!, latencyMs, greeting: greeting === "Http Relay" };
  const timing = `${firstMs} ms with connecting, ${latencyMs} ms after`;
  if (status !== 200 || greeting !== "Http Relay")
    return warning(
      "reachable",
      `Something answers ${status} in ${timing}, but not as a relay does at /.`,
      figures,
    );
  return ok("reachable", `Answers in ${timing}.`, figures);
}

/** The TLS and HTTP versions, and when the certificate ends. */
export async function checkTransport({ relay, signal, answerMaxMs }: Look, now: number): Promise<Finding> {
  const { protocol, hostname, port } = new URL(relay);
  const host = hostname.replace(/^\[(.*)\]$/, "$1");
  if (protocol === "http:") {
    const isLocal = host === "localhost" || host === "::1" || host.startsWith("127.");
    const figures = { tls: null, http: "1.1" };
    return isLocal
      ? ok("transport", "HTTP/1.1 without TLS, which is fine on one machine.", figures)
      : warning(
          "transport",
          "No TLS: others on the way see ids. Put a proxy with TLS in front, or set --tls-cert.",
          figures,
        );
  }
  const servername = /^[\d.]+$|:/.test(host) ? {} : { servername: host };
  const socket = connect({
    host,
    port: Number(port || 443),
    ALPNProtocols: ["h2", "http/1.1"],
    rejectUnauthorized: false,
    ...servername,
  });
  try {
    await once(socket, "secureConnect", {
      signal: AbortSignal.any([signal, AbortSignal.timeout(answerMaxMs)]),
    });
    const tls = socket.getProtocol() ?? "unknown";
    const http = socket.alpnProtocol === "h2" ? "2" : "1.1";
    const days = Math.floor((Date.parse(socket.getPeerCertificate().valid_to) - now) / 86_400_000);
    const figures = { tls, http, certificateDays: days, trusted: socket.authorized };
    const seen = `${tls}, HTTP/${http}, certificate good for ${days} days`;
    if (!socket.authorized)
      return failed("transport", `${seen}; clients refuse it: ${socket.authorizationError}.`, figures);
    return days < 14
      ? warning("transport", `${seen}: renew it.`, figures)
      : ok("transport", `${seen}.`, figures);
  } catch (error) {
    signal.throwIfAborted();
    return failed("transport", `No TLS connection: ${(error as Error).message}.`);
  } finally {
    socket.destroy();
  }
}

/** How far the two clocks are apart. Tokens are good for three minutes, so more than half a minute is worth a word. */
export async function checkClock(look: Look, wall: () => number): Promise<Finding> {
  const begin = wall();
  const response = await ask(look, "/");
  const end = wall();
  await response.body?.cancel();
  const date = Date.parse(response.headers.get("date") ?? "");
  if (Number.isNaN(date)) return warning("clock", "The answer has no Date to compare with.");
  // `Date` has whole seconds: half of one is its expected remainder.
  const skewMs = Math.round(date + 500 - (begin + end) / 2);
  const figures = { skewMs };
  const apart = `${Math.abs(skewMs / 1000).toFixed(1)} s ${skewMs < 0 ? "behind" : "ahead of"} this machine`;
  return Math.abs(skewMs) > 30_000
    ? warning(
        "clock",
        `The relay is ${apart}. Set both by NTP: sign-in tokens are good for three minutes.`,
        figures,
      )
    : ok("clock", `The relay is ${apart}, give or take a second.`, figures);
}

/** A message's whole way: stored, received, acknowledged, told. */
export async function checkRoundTrip(look: Look): Promise<Finding> {
  const rendezvous = createRendezvous({ relay: look.relay, secret: createSecret() });
  const options = { deadlineMs: look.answerMaxMs, signal: look.signal };
  const begin = performance.now();
  try {
    const sent = await rendezvous.send("postern doctor", options);
    const storedMs = round(performance.now() - begin);
    const message = await rendezvous.receive(options);
    if (message.text() !== "postern doctor") throw new Error("another message came back");
    await message.acknowledge(options);
    await sent.delivered(options);
    const totalMs = round(performance.now() - begin);
    const keptMs = sent.expiresAt === undefined ? null : sent.expiresAt - Date.now();
    return ok(
      "round trip",
      `Stored in ${storedMs} ms; stored, received, acknowledged and told in ${totalMs} ms.`,
      {
        storedMs,
        totalMs,
        keptMs: keptMs === null ? null : Math.round(keptMs / 1000) * 1000,
      },
    );
  } catch (error) {
    look.signal.throwIfAborted();
    return failed("round trip", `A message did not make it: ${(error as Error).message}`);
  }
}

/** May a page of any origin use it, acknowledging by tag included? */
export async function checkCors(look: Look): Promise<Finding> {
  const origin = "https://doctor.invalid";
  const id = createSecret();
  const preflight = await ask(look, `/inbox/${id}`, {
    method: "OPTIONS",
    headers: {
      origin,
      "access-control-request-method": "DELETE",
      "access-control-request-headers": "if-match",
    },
  });
  await preflight.body?.cancel();
  const actual = await ask(look, `/inbox/${id}/ack`, { headers: { origin } });
  await actual.body?.cancel();
  const names = (response: Response, header: string) =>
    (response.headers.get(header) ?? "").split(",").map((name) => name.trim().toLowerCase());
  const has = (response: Response, header: string, wanted: string) =>
    names(response, header).some((name) => name === wanted || name === "*");
  const anyOrigin = [preflight, actual].every((answer) => has(answer, "access-control-allow-origin", origin));
  const acknowledge =
    preflight.ok &&
    has(preflight, "access-control-allow-methods", "delete") &&
    has(preflight, "access-control-allow-headers", "if-match");
  const tags = has(actual, "access-control-expose-headers", "etag");
  // The Pubky SDK asks with credentials; `*` does not do then.
  const credentials =
    actual.headers.get("access-control-allow-origin") === origin &&
    actual.headers.get("access-control-allow-credentials") === "true";
  const figures = { anyOrigin, acknowledge, tags, credentials };
  if (!anyOrigin || !acknowledge)
    return warning(
      "browsers",
      "Web pages cannot use it: the CORS answers do not allow a foreign origin. See --cors.",
      figures,
    );
  if (!tags || !credentials)
    return warning(
      "browsers",
      `Web pages can use it, ${tags ? "the Pubky SDK's cannot: credentials are not allowed" : "but do not see message tags"}.`,
      figures,
    );
  return ok("browsers", "Web pages of any origin can use it.", figures);
}

/**
 * How long a request that waits is held, by the relay and by what is between: `/inbox` as long as the relay does by
 * itself, else `/link`, which it holds for ten minutes.
 */
export async function checkHold(look: Look, holdMs: number | undefined): Promise<Finding> {
  const path = `/${holdMs === undefined ? "inbox" : "link"}/${createSecret()}`;
  const longestMs = holdMs ?? 3_600_000;
  const begin = performance.now();
  const heldMs = () => Math.round(performance.now() - begin);
  const seconds = () => `${(heldMs() / 1000).toFixed(1)} s`;
  try {
    const response = await ask({ ...look, answerMaxMs: longestMs }, path);
    const body = await response.text();
    const figures = { heldMs: heldMs(), status: response.status };
    if (response.status !== 408)
      return warning(
        "held polls",
        `After ${seconds()} something between answered ${response.status}: let proxies wait longer than the relay.`,
        figures,
      );
    if (body !== "Request timed out")
      return warning("held polls", `After ${seconds()} came a 408 that is not the relay's.`, figures);
    if (figures.heldMs < 10_000)
      return warning(
        "held polls",
        `The relay lets go after ${seconds()}: clients ask often. See --inbox-timeout.`,
        figures,
      );
    return ok(
      "held polls",
      `The relay answered by itself after ${seconds()}; nothing between cut it.`,
      figures,
    );
  } catch (error) {
    look.signal.throwIfAborted();
    const figures = { heldMs: heldMs(), status: null };
    if ((error as Error).name === "TimeoutError" || heldMs() >= longestMs)
      return ok("held polls", `Still held after ${seconds()}, as long as was asked for.`, figures);
    return warning(
      "held polls",
      `Cut after ${seconds()} without an answer (${why(error)}): a proxy's idle timeout is too short.`,
      figures,
    );
  }
}
