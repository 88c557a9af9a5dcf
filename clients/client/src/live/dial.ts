import type { Clock } from "../../../../core/clock.ts";
import type { Transport } from "../../../../wire/live/transport.ts";
import { PosternError } from "../errors.ts";
import type { Fetch } from "../inbox-http.ts";
import type { LiveLimits } from "./limits.ts";
import { type DialEvents, dialWebSocket, type WebSocketConstructor } from "./websocket-transport.ts";
import { dialWebTransport, type WebTransportConstructor } from "./webtransport-transport.ts";

export type LiveTransport = "webtransport" | "websocket";

/** What a connection is made with. */
export interface DialOptions {
  readonly transport: LiveTransport | "auto";
  readonly WebSocket: WebSocketConstructor | undefined;
  readonly WebTransport: WebTransportConstructor | undefined;
  /** SHA-256 hashes of certificates to trust, instead of those that authorities vouch for. */
  readonly certificateHashes: readonly Uint8Array<ArrayBuffer>[] | undefined;
  readonly limits: LiveLimits;
  readonly clock: Clock;
  readonly fetch: Fetch;
}

export interface Dialled {
  open(transport: Transport, kind: LiveTransport): void;
  /** Nothing worked. */
  fail(cause: unknown): void;
}

/**
 * Opens a connection by what works: WebTransport, and after a head start, or its failure, a WebSocket beside it. The
 * first to open wins. One of `open` and `fail` is called, unless the attempt is given up by what this answers.
 */
export function dial(url: URL, options: DialOptions, { open, fail }: Dialled): () => void {
  const { limits, clock } = options;
  const cancels = new Set<() => void>();
  let underway = 0;
  let over = false;
  const finish = (winner?: () => void) => {
    over = true;
    for (const cancel of cancels) if (cancel !== winner) cancel();
  };
  const attempt = (
    kind: LiveTransport,
    start: (events: DialEvents<Transport>) => () => void,
    next = () => {},
  ) => {
    let failed = false;
    underway++;
    const cancel = start({
      open(transport) {
        if (over) return transport.close(0, "");
        finish(cancel);
        open(transport, kind);
      },
      fail(cause) {
        if (over || failed) return;
        failed = true;
        underway--;
        next();
        if (underway > 0) return;
        finish();
        fail(cause);
      },
    });
    cancels.add(cancel);
  };
  const expire = clock.after(limits.connectMaxMs, () => {
    if (over) return;
    finish();
    fail(new Error("no answer in time"));
  });
  cancels.add(expire);

  let isSocketTried = false;
  const { WebSocket: Socket } = options;
  const trySocket = () => {
    if (over || isSocketTried || Socket === undefined || options.transport === "webtransport") return;
    isSocketTried = true;
    attempt("websocket", (events) => dialWebSocket(url, Socket, limits, clock, events));
  };
  const { WebTransport: Session } = options;
  if (Session !== undefined && options.transport !== "websocket") {
    attempt("webtransport", (events) => dialTrusting(url, Session, options, events), trySocket);
    cancels.add(clock.after(limits.webTransportHeadStartMs, trySocket));
  } else trySocket();
  if (underway === 0 && !over) {
    finish();
    const message = "transport: this platform does not have it.";
    fail(new PosternError("option_invalid", { message, details: { option: "transport" } }));
  }
  return () => finish();
}

/** WebTransport is over TLS always. Beside an `http:` page the relay tells the hash of its own certificate. */
function dialTrusting(
  url: URL,
  Session: WebTransportConstructor,
  { certificateHashes, fetch }: DialOptions,
  events: DialEvents<Transport>,
): () => void {
  const target = new URL(url);
  target.protocol = "https:";
  let cancelled = false;
  let cancel = () => {};
  const connect = (hashes: readonly Uint8Array<ArrayBuffer>[]) => {
    if (cancelled) return;
    try {
      cancel = dialWebTransport(target, Session, hashes, events);
    } catch (error) {
      // An older browser, which does not take these options.
      events.fail(error);
    }
  };
  if (certificateHashes !== undefined) connect(certificateHashes);
  else if (url.protocol === "https:") connect([]);
  else certificateHash(url, fetch).then((hash) => connect([hash]), events.fail);
  return () => {
    cancelled = true;
    cancel();
  };
}

async function certificateHash(url: URL, fetch: Fetch): Promise<Uint8Array<ArrayBuffer>> {
  const response = await fetch(new URL("/certificate.sha256", url).href);
  const hash = response.ok ? parseHash(await response.text()) : undefined;
  if (hash === undefined) throw new Error("the relay has no certificate");
  return hash;
}

/** 64 hexadecimal digits as bytes. */
export function parseHash(text: string): Uint8Array<ArrayBuffer> | undefined {
  const digits = /^\s*([0-9a-f]{64})\s*$/i.exec(text)?.[1];
  return digits === undefined
    ? undefined
    : Uint8Array.from(digits.match(/../g)!, (byte) => Number.parseInt(byte, 16));
}
