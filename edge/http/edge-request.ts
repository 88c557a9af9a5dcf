import type { IncomingMessage, ServerResponse } from "node:http";
import type { Http2ServerRequest, Http2ServerResponse } from "node:http2";
import { joinBytes } from "#core/bytes.ts";
import { RelayError } from "#core/errors.ts";
import type { EdgeContext, RelayRequest } from "#wire/http/request.ts";
import type { ClientCertificate } from "#wire/live/acceptor.ts";
import { clientCertificateOf } from "./client-certificate.ts";
import { originForm } from "./origin-form.ts";

export type NodeRequest = IncomingMessage | Http2ServerRequest;
export type NodeResponse = ServerResponse | Http2ServerResponse;

class EdgeHeaders implements Pick<Headers, "get" | "has"> {
  readonly #headers: NodeRequest["headers"];

  constructor(headers: NodeRequest["headers"]) {
    this.#headers = headers;
  }

  get(name: string): string | null {
    const value = this.#headers[name.toLowerCase()];
    return value === undefined ? null : Array.isArray(value) ? value.join(", ") : value;
  }

  has(name: string): boolean {
    return this.#headers[name.toLowerCase()] !== undefined;
  }
}

/** Node's request in the shape that handlers read. Nothing is made before it is asked for. */
export class EdgeRequest implements RelayRequest, EdgeContext {
  readonly method: string;
  readonly target: string;
  readonly #request: NodeRequest;
  readonly #response: NodeResponse;
  readonly #bodyTimeoutMs: number;
  readonly #findSource: () => string | undefined;
  #abort: AbortController | undefined;
  #headers: EdgeHeaders | undefined;

  constructor(
    request: NodeRequest,
    response: NodeResponse,
    bodyTimeoutMs: number,
    findSource: () => string | undefined,
  ) {
    this.method = request.method ?? "GET";
    this.target = originForm(request.url ?? "/");
    this.#request = request;
    this.#response = response;
    this.#bodyTimeoutMs = bodyTimeoutMs;
    this.#findSource = findSource;
  }

  get edge(): EdgeContext {
    return this;
  }

  get clientCertificate(): ClientCertificate | undefined {
    const request = this.#request;
    return clientCertificateOf("stream" in request ? request.stream.session?.socket : request.socket);
  }

  get source(): string | undefined {
    return this.#findSource();
  }

  get url(): string {
    return `http://${this.#request.headers.host ?? this.#request.headers[":authority"] ?? "localhost"}${this.target}`;
  }

  get headers(): Pick<Headers, "get" | "has"> {
    this.#headers ??= new EdgeHeaders(this.#request.headers);
    return this.#headers;
  }

  get signal(): AbortSignal {
    if (!this.#abort) {
      const abort = new AbortController();
      this.#abort = abort;
      const response = this.#response;
      if (response.destroyed) abort.abort();
      else response.once("close", () => response.writableFinished || abort.abort());
    }
    return this.#abort.signal;
  }

  get body(): ReadableStream<Uint8Array> | null {
    if (this.method === "GET" || this.method === "HEAD") return null;
    const chunks = this.#request.iterator()[Symbol.asyncIterator]();
    return new ReadableStream({
      async pull(controller) {
        const { done, value } = await chunks.next();
        if (done) controller.close();
        else controller.enqueue(value);
      },
      cancel: async () => void (await chunks.return?.()),
    });
  }

  readBody(maxBytes: number): Promise<Uint8Array> {
    const request = this.#request;
    return new Promise((resolve, reject) => {
      const chunks: Uint8Array[] = [];
      let length = 0;
      const stop = () => {
        clearTimeout(timer);
        request.off("data", take).off("end", end).off("error", cut).off("close", cut);
      };
      const fail = (error: RelayError) => {
        stop();
        reject(error);
      };
      const take = (chunk: Uint8Array) => {
        length += chunk.byteLength;
        if (length > maxBytes) fail(new RelayError("body_too_large"));
        else chunks.push(chunk);
      };
      const end = () => {
        stop();
        // Of its own memory: Node's chunks are views of larger, shared memory that must not be kept.
        resolve(joinBytes(chunks));
      };
      const cut = () => fail(new RelayError("bad_request", { text: "Request body was cut short" }));
      const timer = setTimeout(
        () => fail(new RelayError("timed_out", { text: "Request body timed out" })),
        this.#bodyTimeoutMs,
      );
      if (Number(request.headers["content-length"] ?? 0) > maxBytes) {
        return fail(new RelayError("body_too_large"));
      }
      request.on("data", take).on("end", end).on("error", cut).on("close", cut);
    });
  }
}
