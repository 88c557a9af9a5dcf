/** A body that breaks its own framing; the connection cannot go on. */
export class BadBody extends Error {
  override readonly name = "BadBody";
}

/** Longest chunk header or trailer section, in bytes: extensions and trailers are read over, not read. */
const maxFramingBytes = 4096;

const lineEnd = Buffer.from("\r\n");

/** Takes a body out of the bytes of a connection. */
export interface BodyDecoder {
  readonly done: boolean;
  /** Hands the body's bytes to `take` and returns how many bytes of `input` were used. Throws `BadBody`. */
  feed(input: Buffer, take: (bytes: Buffer) => void): number;
}

/** As many bytes as `Content-Length` said. */
export class SizedBody implements BodyDecoder {
  #left: number;

  constructor(length: number) {
    this.#left = length;
  }

  get done(): boolean {
    return this.#left === 0;
  }

  feed(input: Buffer, take: (bytes: Buffer) => void): number {
    const used = Math.min(this.#left, input.length);
    this.#left -= used;
    if (used > 0) take(used === input.length ? input : input.subarray(0, used));
    return used;
  }
}

/** `Transfer-Encoding: chunked` (RFC 9112, 7.1). */
export class ChunkedBody implements BodyDecoder {
  #state: "size" | "data" | "data-end" | "trailer" | "done" = "size";
  #left = 0;
  /** The beginning of a line whose end has not come yet. */
  #line: Buffer = Buffer.alloc(0);
  #trailerBytes = 0;

  get done(): boolean {
    return this.#state === "done";
  }

  feed(input: Buffer, take: (bytes: Buffer) => void): number {
    let at = 0;
    while (at < input.length && this.#state !== "done") {
      if (this.#state === "data") {
        const end = Math.min(input.length, at + this.#left);
        take(input.subarray(at, end));
        this.#left -= end - at;
        at = end;
        if (this.#left === 0) this.#state = "data-end";
        continue;
      }
      const before = this.#line.length;
      const joined = before === 0 ? input.subarray(at) : Buffer.concat([this.#line, input.subarray(at)]);
      const end = joined.indexOf(lineEnd);
      if (end < 0 ? joined.length > maxFramingBytes : end > maxFramingBytes)
        throw new BadBody("chunk header too long");
      if (end < 0) {
        this.#line = Buffer.from(joined);
        return input.length;
      }
      this.#line = Buffer.alloc(0);
      at += end + 2 - before;
      this.#onLine(joined.toString("latin1", 0, end));
    }
    return at;
  }

  #onLine(line: string): void {
    if (this.#state === "data-end") {
      if (line !== "") throw new BadBody("chunk longer than its size");
      this.#state = "size";
    } else if (this.#state === "size") {
      const size = /^([0-9A-Fa-f]{1,8})[ \t]*(?:;[\t -~\x80-\xff]*)?$/.exec(line);
      if (!size) throw new BadBody("malformed chunk size");
      this.#left = Number.parseInt(size[1]!, 16);
      this.#state = this.#left === 0 ? "trailer" : "data";
    } else if (line === "") this.#state = "done";
    else {
      this.#trailerBytes += line.length + 2;
      if (this.#trailerBytes > maxFramingBytes) throw new BadBody("trailers too long");
      if (!/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t -~\x80-\xff]*$/.test(line))
        throw new BadBody("malformed trailer");
    }
  }
}
