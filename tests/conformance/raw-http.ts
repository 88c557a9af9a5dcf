import { once } from "node:events";
import { connect, type Socket } from "node:net";

/** One answer as it stood on the wire. */
export interface Answer {
  readonly status: number;
  readonly body: Buffer;
  /** The body as Latin-1 text: what was sent is ASCII where a case compares text. */
  readonly text: string;
  /** From the sending of the request to the end of the answer, in milliseconds. */
  readonly elapsedMs: number;
  /** Value of the header, `undefined` when absent; several lines are joined by `, `. */
  header(name: string): string | undefined;
}

/** Parts of a request. Header values are written as Latin-1, so `\xff` is one byte. */
export interface RequestParts {
  readonly headers?: Readonly<Record<string, string>> | readonly (readonly [string, string])[];
  readonly body?: string | Uint8Array;
  /** `chunked`: the body goes in one chunk; `none`: neither length nor chunking is said. Default: its length. */
  readonly framing?: "length" | "chunked" | "none";
  readonly version?: "1.0" | "1.1";
  /** `false` leaves the Host header out. */
  readonly host?: false;
}

/** The bytes of a request. The target is written as it is: no normalisation, no encoding. */
export function encodeRequest(method: string, target: string, parts: RequestParts = {}): Buffer {
  const body: Uint8Array | undefined = typeof parts.body === "string" ? Buffer.from(parts.body) : parts.body;
  const headers = Array.isArray(parts.headers) ? parts.headers : Object.entries(parts.headers ?? {});
  let head = `${method} ${target} HTTP/${parts.version ?? "1.1"}\r\n`;
  if (parts.host !== false) head += "host: relay.example\r\n";
  for (const [name, value] of headers) head += `${name}: ${value}\r\n`;
  if (parts.framing === "chunked") {
    const size = (body?.length ?? 0).toString(16);
    return Buffer.concat([
      Buffer.from(`${head}transfer-encoding: chunked\r\n\r\n${size}\r\n`, "latin1"),
      body ?? Buffer.alloc(0),
      Buffer.from("\r\n0\r\n\r\n"),
    ]);
  }
  if (body !== undefined && parts.framing !== "none") head += `content-length: ${body.length}\r\n`;
  return Buffer.concat([Buffer.from(`${head}\r\n`, "latin1"), body ?? Buffer.alloc(0)]);
}

/** The relay ended the connection before the answer was complete. */
export class ConnectionLost extends Error {}

/** One TCP connection, and the answers that come back on it. */
export class Connection implements Disposable {
  readonly #socket: Socket;
  #received = Buffer.alloc(0);
  #ended = false;
  #wake = Promise.withResolvers<void>();
  #sentAt = performance.now();

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.on("data", (chunk: Buffer<ArrayBuffer>) => {
      this.#received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk]);
      this.#progress();
    });
    socket.on("close", () => {
      this.#ended = true;
      this.#progress();
    });
    // What an error means for a case is seen by the answer that does not come.
    socket.on("error", () => {});
  }

  static async open(at: { host: string; port: number }): Promise<Connection> {
    const socket = connect(at.port, at.host);
    await once(socket, "connect");
    return new Connection(socket);
  }

  send(bytes: Uint8Array): void {
    this.#sentAt = performance.now();
    this.#socket.write(bytes);
  }

  /** The next answer. `method` is that of its request: an answer to HEAD has no body. */
  async next(method: string): Promise<Answer> {
    const end = await this.#until(() => this.#received.indexOf("\r\n\r\n"));
    const [statusLine = "", ...rest] = this.#take(end).toString("latin1").split("\r\n");
    this.#take(4);
    const lines = rest.map((line) => {
      const colon = line.indexOf(":");
      return [line.slice(0, colon), line.slice(colon + 1).trim()] as const;
    });
    const header = (name: string) => {
      const values = lines.filter(([is]) => is.toLowerCase() === name).map(([, value]) => value);
      return values.length === 0 ? undefined : values.join(", ");
    };
    const [, status = ""] = /^HTTP\/1\.[01] (\d{3})/.exec(statusLine) ?? [];
    const bodiless = method === "HEAD" || status.startsWith("1") || status === "204" || status === "304";
    const body = bodiless ? Buffer.alloc(0) : await this.#body(header("content-length"));
    return {
      status: Number(status),
      body,
      text: body.toString("latin1"),
      elapsedMs: performance.now() - this.#sentAt,
      header,
    };
  }

  /** Takes in no more bytes: what the relay sends piles up on its side once the kernel's buffers are full. */
  deafen(): void {
    this.#socket.pause();
  }

  /** Resolves once the relay has closed the connection. */
  async closed(): Promise<void> {
    while (!this.#ended) await this.#wake.promise;
  }

  /** Bytes that came after the last answer taken. */
  get surplus(): number {
    return this.#received.length;
  }

  /** Ends with a TCP reset, as a process that is killed with data unread does. */
  reset(): void {
    this.#socket.resetAndDestroy();
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }

  async #body(contentLength: string | undefined): Promise<Buffer> {
    if (contentLength === undefined) {
      await this.closed();
      return this.#take(this.#received.length);
    }
    const length = Number(contentLength);
    await this.#until(() => (this.#received.length >= length ? length : -1));
    return this.#take(length);
  }

  async #until(position: () => number): Promise<number> {
    for (;;) {
      const found = position();
      if (found >= 0) return found;
      if (this.#ended) throw new ConnectionLost(`connection ended after ${this.#received.length} bytes`);
      await this.#wake.promise;
    }
  }

  #take(length: number): Buffer {
    const taken = this.#received.subarray(0, length);
    this.#received = this.#received.subarray(length);
    return taken;
  }

  #progress(): void {
    this.#wake.resolve();
    this.#wake = Promise.withResolvers<void>();
  }
}
