/** Name and value, in the order they are sent; names lower case. */
export type HeaderList = [name: string, value: string][];

export type Payload = Uint8Array | string | null;

/** What became of a reply: all of it was handed to the operating system, or the client was gone before. */
export type Delivery = "sent" | "lost";

const encoder = new TextEncoder();

/**
 * A `Response` whose bytes are at hand, so that an edge can write them without a stream; everywhere else it is an
 * ordinary `Response`.
 *
 * `onSettled` tells the handler what became of it. Whoever writes a response out calls `settle` exactly once.
 */
export class Reply extends Response {
  readonly payload: Payload;
  readonly headerList: HeaderList;
  readonly #onSettled: ((delivery: Delivery) => void) | undefined;
  #headers: Headers | undefined;

  constructor(
    status: number,
    headers: HeaderList,
    payload: Payload = null,
    onSettled?: (delivery: Delivery) => void,
  ) {
    super(null, { status });
    this.payload = payload;
    this.headerList = headers;
    this.#onSettled = onSettled;
  }

  settle(delivery: Delivery): void {
    this.#onSettled?.(delivery);
  }

  override get headers(): Headers {
    this.#headers ??= new Headers(this.headerList);
    return this.#headers;
  }

  override get body(): ReadableStream<Uint8Array<ArrayBuffer>> | null {
    return this.payload === null ? null : new Response(this.#bytes()).body;
  }

  #bytes(): Uint8Array<ArrayBuffer> {
    const payload = this.payload ?? "";
    return (typeof payload === "string" ? encoder.encode(payload) : payload) as Uint8Array<ArrayBuffer>;
  }

  override async bytes(): Promise<Uint8Array<ArrayBuffer>> {
    // Not slice(): that of a Buffer copies nothing.
    return new Uint8Array(this.#bytes());
  }

  override async arrayBuffer(): Promise<ArrayBuffer> {
    return (await this.bytes()).buffer;
  }

  override async text(): Promise<string> {
    return typeof this.payload === "string" ? this.payload : new TextDecoder().decode(this.#bytes());
  }

  override async json(): Promise<unknown> {
    return JSON.parse(await this.text());
  }

  override async blob(): Promise<Blob> {
    return new Blob([this.#bytes()], { type: this.headers.get("content-type") ?? "" });
  }

  override clone(): Reply {
    return new Reply(this.status, [...this.headerList], this.payload);
  }
}

/** Adds a header to any response, whichever kind it is. */
export function addHeader(response: Response, name: string, value: string): void {
  if (response instanceof Reply) response.headerList.push([name, value]);
  else response.headers.append(name, value);
}

/** Tells the handler behind a response what became of it; an ordinary `Response` does not care. */
export function settle(response: Response, delivery: Delivery): void {
  if (response instanceof Reply) response.settle(delivery);
}
