import type { Socket } from "node:net";
import { joinBytes } from "#core/bytes.ts";
import { RelayError } from "#core/errors.ts";
import { type Delivery, Reply, settle } from "#wire/http/reply.ts";
import type { EdgeContext, RelayRequest } from "#wire/http/request.ts";
import { originForm } from "../origin-form.ts";
import { atTurnEnd, joinMaxBytes, latin1 } from "../small-writes.ts";
import { BadBody, type BodyDecoder, ChunkedBody, SizedBody } from "./body.ts";
import { BadHead, hasToken, parseHead, type RequestHead } from "./head.ts";
import { continueText, headText } from "./response-head.ts";

/** What every connection of a listener shares. */
export interface Http1Setup {
  readonly maxHeaderBytes: number;
  readonly headerTimeoutMs: number;
  readonly bodyTimeoutMs: number;
  readonly idleTimeoutMs: number;
  readonly handler: (request: RelayRequest) => Promise<Response>;
  sourceOf(socket: Socket, forwardedFor: string | undefined): string | undefined;
  /** May a connection that asks for this target become a WebSocket? */
  isUpgradable(target: string): boolean;
  /** Takes the connection over when it becomes one, `read` being what it has said so far. */
  upgrade(socket: Socket, read: Buffer): void;
  isDraining(): boolean;
  report(error: unknown): void;
}

/** Bytes of further requests kept while one is under way; more wait in the client's and the system's buffers. */
const maxAheadBytes = 64 * 1024;

/** How long a closing connection is still read. */
const lingerMs = 1000;

const empty = Buffer.alloc(0);
const headEnd = Buffer.from("\r\n\r\n");

/**
 * One plain connection: requests are carried out one after the other, each answered before the next is looked at.
 *
 * Deadlines are kept as moments and looked at by the listener's sweep, so that a parked request arms no timer.
 */
export class Http1Connection {
  readonly socket: Socket;
  readonly #setup: Http1Setup;
  /** What came and was not used yet. */
  #ahead: Buffer = empty;
  #searched = 0;
  #current: Exchange | undefined;
  /** When the client has to have done what it is expected to do next; 0 while it is our turn. */
  #deadline: number;
  #served = false;
  #lingers = false;

  constructor(socket: Socket, setup: Http1Setup, now: number) {
    this.socket = socket;
    this.#setup = setup;
    this.#deadline = now + setup.headerTimeoutMs;
  }

  /** Between two requests, or before the first. */
  get isIdle(): boolean {
    return this.#current === undefined && this.#ahead.length === 0;
  }

  /** Has it carried a request yet? */
  get hasServed(): boolean {
    return this.#served;
  }

  onData(chunk: Buffer): void {
    if (this.#lingers) return;
    this.#ahead = this.#ahead.length === 0 ? chunk : Buffer.concat([this.#ahead, chunk]);
    this.#advance();
  }

  onClose(): void {
    this.#current?.abort();
    this.#current = undefined;
  }

  /** Ends the connection if the client let its deadline pass. */
  sweep(now: number): void {
    if (this.#deadline === 0 || now < this.#deadline) return;
    this.#deadline = 0;
    if (this.#lingers) this.socket.destroy();
    else if (this.#current)
      this.#current.failBody(new RelayError("timed_out", { text: "Request body timed out" }));
    else if (this.#ahead.length > 0) this.#refuse(408, "");
    else this.socket.destroy();
  }

  #advance(): void {
    if (this.#current) {
      this.#feedBody(this.#current);
      return;
    }
    if (this.socket.destroyed || this.socket.writableEnded) return;
    // An empty line before a request is skipped (RFC 9112, 2.2).
    while (this.#ahead.length >= 2 && this.#ahead[0] === 13 && this.#ahead[1] === 10)
      this.#ahead = this.#ahead.subarray(2);
    if (this.#ahead.length === 0) return;
    const end = this.#ahead.indexOf(headEnd, Math.max(0, this.#searched - 3));
    const { maxHeaderBytes } = this.#setup;
    if (end < 0 ? this.#ahead.length > maxHeaderBytes : end > maxHeaderBytes) {
      this.#refuse(431, "");
      return;
    }
    if (end < 0) {
      // The time a head may take runs from its first byte.
      if (this.#searched === 0) this.#deadline = performance.now() + this.#setup.headerTimeoutMs;
      this.#searched = this.#ahead.length;
      return;
    }
    this.#searched = 0;
    let head: RequestHead;
    try {
      head = parseHead(this.#ahead.toString("latin1", 0, end));
    } catch (error) {
      if (!(error instanceof BadHead)) throw error;
      this.#refuse(error.status, "");
      return;
    }
    if (isWebSocket(head) && this.#setup.isUpgradable(originForm(head.target))) {
      const read = this.#ahead;
      this.#ahead = empty;
      this.#deadline = 0;
      this.#setup.upgrade(this.socket, read);
      return;
    }
    this.#ahead = this.#ahead.subarray(end + 4);
    this.#begin(head);
  }

  #begin(head: RequestHead): void {
    this.#served = true;
    const exchange = new Exchange(head, this.socket, this.#setup);
    this.#current = exchange;
    this.#deadline = exchange.bodyIsDone ? 0 : performance.now() + this.#setup.bodyTimeoutMs;
    this.#feedBody(exchange);
    void this.#carryOut(exchange, head);
  }

  #feedBody(exchange: Exchange): void {
    if (!exchange.bodyIsDone) {
      try {
        const used = exchange.feed(this.#ahead);
        this.#ahead = used === this.#ahead.length ? empty : this.#ahead.subarray(used);
      } catch (error) {
        if (!(error instanceof BadBody)) throw error;
        exchange.failBody(new RelayError("bad_request", { text: "Request body is malformed" }));
        this.#ahead = empty;
      }
      if (exchange.bodyIsDone) this.#deadline = 0;
    }
    if (this.#ahead.length > maxAheadBytes) this.socket.pause();
  }

  async #carryOut(exchange: Exchange, head: RequestHead): Promise<void> {
    let close = !keepsAlive(head);
    try {
      const response = await this.#setup.handler(exchange);
      // What is left of a body that was refused is not worth reading.
      close ||= this.#setup.isDraining() || !exchange.bodyIsDone || asksToClose(response);
      await exchange.write(response, head, close);
    } catch (error) {
      this.#setup.report(error);
      if (exchange.hasWritten) this.socket.destroy();
      else this.#refuse(500, "");
      return;
    }
    if (this.socket.destroyed) return;
    if (close || this.#setup.isDraining()) return this.#linger(exchange);
    this.#current = undefined;
    this.#deadline = performance.now() + this.#setup.idleTimeoutMs;
    if (this.socket.isPaused()) this.socket.resume();
    if (this.#ahead.length > 0) this.#advance();
  }

  /**
   * Says that nothing more will be said and reads on for a moment: closing with bytes unread would reset the connection
   * and could take the answer back out of the client's hands (RFC 9112, 9.6).
   */
  #linger(exchange: Exchange): void {
    exchange.discardBody();
    this.#deadline = performance.now() + lingerMs;
    this.#lingers = true;
    this.socket.end();
    if (this.socket.isPaused()) this.socket.resume();
  }

  #refuse(status: number, body: string): void {
    this.#ahead = empty;
    this.#deadline = performance.now() + lingerMs;
    this.#lingers = true;
    if (!this.socket.destroyed)
      this.socket.end(`${headText(status, [], Buffer.byteLength(body), "close")}${body}`, "latin1");
  }
}

function isWebSocket({ headers }: RequestHead): boolean {
  return (
    headers.get("upgrade")?.toLowerCase() === "websocket" && hasToken(headers.get("connection"), "upgrade")
  );
}

function asksToClose(response: Response): boolean {
  if (!(response instanceof Reply)) return response.headers.get("connection") === "close";
  return response.headerList.some(([name, value]) => name === "connection" && value === "close");
}

function keepsAlive({ minor, headers }: RequestHead): boolean {
  const connection = headers.get("connection");
  if (connection === undefined) return minor === 1;
  return minor === 1 ? !hasToken(connection, "close") : hasToken(connection, "keep-alive");
}

/** Who reads the body, as it comes. */
interface BodyReader {
  take(bytes: Buffer): void;
  end(): void;
  fail(error: RelayError): void;
}

const nobody: BodyReader = { take() {}, end() {}, fail() {} };

/** One request and its answer, in the shape that handlers read. */
class Exchange implements RelayRequest, EdgeContext {
  readonly method: string;
  readonly target: string;
  readonly headers: Pick<Headers, "get" | "has">;
  hasWritten = false;
  readonly #head: RequestHead;
  readonly #socket: Socket;
  readonly #setup: Http1Setup;
  readonly #body: BodyDecoder | undefined;
  #reader: BodyReader | undefined;
  /** What came before anybody read. */
  #early: Buffer[] = [];
  #earlyBytes = 0;
  #failure: RelayError | undefined;
  #abort: AbortController | undefined;
  #gone = false;

  constructor(head: RequestHead, socket: Socket, setup: Http1Setup) {
    this.method = head.method;
    this.target = originForm(head.target);
    this.headers = new HeadHeaders(head.headers);
    this.#head = head;
    this.#socket = socket;
    this.#setup = setup;
    const { bodyLength } = head;
    if (bodyLength === "chunked") this.#body = new ChunkedBody();
    else if (bodyLength > 0) this.#body = new SizedBody(bodyLength);
  }

  get edge(): EdgeContext {
    return this;
  }

  get url(): string {
    return `http://${this.#head.headers.get("host") ?? "localhost"}${this.target}`;
  }

  get source(): string | undefined {
    return this.#setup.sourceOf(this.#socket, this.#head.headers.get("x-forwarded-for"));
  }

  get signal(): AbortSignal {
    if (!this.#abort) {
      this.#abort = new AbortController();
      if (this.#gone) this.#abort.abort();
    }
    return this.#abort.signal;
  }

  get bodyIsDone(): boolean {
    return this.#body === undefined || this.#body.done;
  }

  get body(): ReadableStream<Uint8Array> | null {
    if (this.#body === undefined) return null;
    return new ReadableStream<Uint8Array>({
      start: (controller) =>
        this.#read({
          take: (bytes) => {
            controller.enqueue(Uint8Array.from(bytes));
            if ((controller.desiredSize ?? 0) <= 0) this.#socket.pause();
          },
          end: () => controller.close(),
          fail: (error) => controller.error(error),
        }),
      pull: () => void this.#socket.resume(),
    });
  }

  readBody(maxBytes: number): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      const announced = this.#head.bodyLength;
      if (announced !== "chunked" && announced > maxBytes) return reject(new RelayError("body_too_large"));
      const chunks: Buffer[] = [];
      let length = 0;
      this.#read({
        take: (bytes) => {
          length += bytes.length;
          if (length <= maxBytes) chunks.push(bytes);
          else {
            this.discardBody();
            reject(new RelayError("body_too_large"));
          }
        },
        // Of its own memory: Node's chunks are views of larger, shared memory that must not be kept.
        end: () => resolve(joinBytes(chunks)),
        fail: reject,
      });
    });
  }

  feed(input: Buffer): number {
    const used = this.#body!.feed(input, (bytes) => {
      if (this.#reader) return this.#reader.take(bytes);
      this.#early.push(bytes);
      this.#earlyBytes += bytes.length;
    });
    if (!this.#reader && this.#earlyBytes > maxAheadBytes) this.#socket.pause();
    if (this.bodyIsDone) this.#reader?.end();
    return used;
  }

  failBody(error: RelayError): void {
    this.#failure = error;
    this.#reader?.fail(error);
    this.#reader = undefined;
  }

  /** Nobody will read what is left of the body. */
  discardBody(): void {
    this.#reader = nobody;
    this.#early = [];
  }

  /** The client is gone. */
  abort(): void {
    this.#gone = true;
    this.#abort?.abort();
    if (!this.bodyIsDone)
      this.failBody(new RelayError("bad_request", { text: "Request body was cut short" }));
  }

  #read(reader: BodyReader): void {
    this.#reader = reader;
    const early = this.#early;
    this.#early = [];
    if (this.#socket.isPaused()) this.#socket.resume();
    for (const bytes of early) this.#reader?.take(bytes);
    if (this.#failure) reader.fail(this.#failure);
    else if (this.bodyIsDone) {
      if (this.#reader) reader.end();
    } else if (
      this.#head.minor === 1 &&
      hasToken(this.#head.headers.get("expect"), "100-continue") &&
      early.length === 0
    ) {
      this.#socket.write(continueText, "latin1");
    }
  }

  /** Resolves when the answer was handed to the operating system, or the client was gone before. */
  write(response: Response, head: RequestHead, close: boolean): Promise<void> {
    const connection = close ? "close" : head.minor === 0 ? "keep-alive" : undefined;
    return response instanceof Reply
      ? this.#writeReply(response, connection)
      : this.#writeStream(response, head, connection);
  }

  #writeReply(reply: Reply, connection: string | undefined): Promise<void> {
    const { payload } = reply;
    const length =
      payload === null ? 0 : typeof payload === "string" ? Buffer.byteLength(payload) : payload.byteLength;
    const text = headText(reply.status, reply.headerList, length, connection);
    this.hasWritten = true;
    return new Promise((resolve) => {
      const done = (delivery: Delivery) => {
        reply.settle(delivery);
        resolve();
      };
      if (this.#gone) return done("lost");
      atTurnEnd(() => {
        const written = (error?: Error | null) => done(error || this.#gone ? "lost" : "sent");
        if (this.#gone) return done("lost");
        if (length === 0 || this.method === "HEAD") this.#socket.write(text, "latin1", written);
        else if (length > joinMaxBytes) {
          this.#socket.cork();
          this.#socket.write(text, "latin1");
          this.#socket.write(payload as string | Uint8Array, written);
          this.#socket.uncork();
        } else this.#socket.write(text + latin1(payload as string | Uint8Array), "latin1", written);
      });
    });
  }

  async #writeStream(response: Response, head: RequestHead, connection: string | undefined): Promise<void> {
    const reader = response.body?.getReader();
    const gone = new Promise<"gone">((resolve) => {
      if (this.#gone) resolve("gone");
      else this.signal.addEventListener("abort", () => resolve("gone"), { once: true });
    });
    const chunked = head.minor === 1;
    let delivery: Delivery = "lost";
    try {
      const headers: [string, string][] = [...response.headers];
      if (reader && chunked) headers.push(["transfer-encoding", "chunked"]);
      this.hasWritten = true;
      // Without chunks the end of the connection is the end of the body (RFC 9112, 6.3).
      const ending = reader && !chunked ? "close" : connection;
      this.#socket.write(headText(response.status, headers, reader ? undefined : 0, ending), "latin1");
      while (reader && this.method !== "HEAD") {
        const next = await Promise.race([reader.read(), gone]);
        if (next === "gone") return;
        if (next.done) break;
        if (next.value.byteLength === 0) continue;
        if (chunked) this.#socket.write(`${next.value.byteLength.toString(16)}\r\n`, "latin1");
        this.#socket.write(next.value);
        const drained =
          !(chunked ? this.#socket.write("\r\n", "latin1") : !this.#socket.writableNeedDrain) &&
          new Promise<void>((resolve) => this.#socket.once("drain", resolve));
        if ((await Promise.race([drained, gone])) === "gone") return;
      }
      if (reader && chunked && this.method !== "HEAD") this.#socket.write("0\r\n\r\n", "latin1");
      delivery = "sent";
    } finally {
      // A source that nobody reads any more is told so, so that it lets go of what it holds.
      await reader?.cancel().catch(() => {});
      settle(response, delivery);
    }
    if (reader && !chunked) this.#socket.end();
  }
}

class HeadHeaders implements Pick<Headers, "get" | "has"> {
  readonly #headers: ReadonlyMap<string, string>;

  constructor(headers: ReadonlyMap<string, string>) {
    this.#headers = headers;
  }

  get(name: string): string | null {
    return this.#headers.get(name.toLowerCase()) ?? null;
  }

  has(name: string): boolean {
    return this.#headers.has(name.toLowerCase());
  }
}
