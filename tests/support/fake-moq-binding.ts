import type {
  MoqBinding,
  NativeBidi,
  NativeClient,
  NativeReceive,
  NativeRequest,
  NativeSend,
  NativeServer,
  NativeSession,
} from "#edge/webtransport/moq-binding.ts";

/** What is given waits for who takes it, and the other way round. */
class Queue<T> {
  readonly #given: Promise<T>[] = [];
  readonly #waiting: PromiseWithResolvers<T>[] = [];

  give(value: T): void {
    const waiting = this.#waiting.shift();
    if (waiting) waiting.resolve(value);
    else this.#given.push(Promise.resolve(value));
  }

  fail(error: Error): void {
    for (const waiting of this.#waiting.splice(0)) waiting.reject(error);
  }

  take(): Promise<T> {
    const given = this.#given.shift();
    if (given) return given;
    const waiting = Promise.withResolvers<T>();
    this.#waiting.push(waiting);
    return waiting.promise;
  }
}

/** Takes each write when the test says so. */
export class FakeSend implements NativeSend {
  readonly writes: Buffer[] = [];
  finished = false;
  resetCode: number | undefined;
  #writing: PromiseWithResolvers<void> | undefined;

  write(data: Buffer): Promise<void> {
    this.writes.push(data);
    this.#writing = Promise.withResolvers();
    return this.#writing.promise;
  }

  wrote(): void {
    this.#writing!.resolve();
  }

  fail(error: Error): void {
    this.#writing!.reject(error);
  }

  async finish(): Promise<void> {
    this.finished = true;
  }

  async reset(code: number): Promise<void> {
    this.resetCode = code;
  }
}

export class FakeReceive implements NativeReceive {
  readonly chunks = new Queue<Buffer | null>();
  stopCode: number | undefined;

  read(): Promise<Buffer | null> {
    return this.chunks.take();
  }

  async stop(code: number): Promise<void> {
    this.stopCode = code;
  }
}

export class FakeSession implements NativeSession {
  readonly protocol: string | null;
  /** Streams of the client's. */
  readonly unis = new Queue<NativeReceive>();
  readonly bidis = new Queue<NativeBidi>();
  /** Streams of ours, as the client allows them. */
  readonly opened = new Queue<NativeSend>();
  closedWith: [number, string] | undefined;
  readonly #closed = Promise.withResolvers<{ closeCode: number; reason: string }>();

  constructor(protocol: string | null = null) {
    this.protocol = protocol;
  }

  acceptUni(): Promise<NativeReceive> {
    return this.unis.take();
  }

  acceptBi(): Promise<NativeBidi> {
    return this.bidis.take();
  }

  openUni(): Promise<NativeSend> {
    return this.opened.take();
  }

  async openBi(): Promise<NativeBidi> {
    const send = await this.opened.take();
    return { takeSend: () => send, takeRecv: () => new FakeReceive() };
  }

  close(code: number, reason: string): void {
    this.closedWith = [code, reason];
    this.end(code, reason);
  }

  closed(): Promise<{ closeCode: number; reason: string }> {
    return this.#closed.promise;
  }

  end(closeCode: number, reason: string): void {
    this.#closed.resolve({ closeCode, reason });
    for (const queue of [this.unis, this.bidis, this.opened]) queue.fail(new Error("session error"));
  }
}

export class FakeRequest implements NativeRequest {
  readonly url: Promise<string>;
  readonly #session: NativeSession;
  rejected: number | undefined;

  constructor(url: string, session: NativeSession) {
    this.url = Promise.resolve(url);
    this.#session = session;
  }

  async ok(): Promise<NativeSession> {
    return this.#session;
  }

  async reject(status: number): Promise<void> {
    this.rejected = status;
  }
}

/** The native library as it was seen to behave, closing while it accepts included. */
export class FakeBinding implements MoqBinding {
  /** Addresses that are open, and the certificate of each. */
  readonly open = new Map<string, string>();
  /** Addresses that cannot be had. */
  readonly refused = new Set<string>();
  /** How often a port that was let go of is still in use. */
  stillBound = 0;
  readonly #requests = new Map<string, Queue<NativeRequest>>();
  readonly NapiServer = { bind: (address: string, certificate: Buffer) => this.#bind(address, certificate) };
  /** Which certificates a client of ours was to trust. */
  readonly trusted: (string | Buffer[])[] = [];
  /** Answers clients of ours that come to no port of ours. */
  onDial: (url: string, protocols: readonly string[]) => Promise<NativeSession> = () =>
    Promise.reject(new Error("nobody there"));
  readonly NapiClient = {
    withSystemRoots: () => this.#client("system"),
    withCertificateHashes: (hashes: Buffer[]) => this.#client(hashes),
    disableVerify: () => this.#client("all"),
  };

  /** A client comes to the first address. */
  knock(request: NativeRequest): void {
    const [first] = this.#requests.values();
    first!.give(request);
  }

  #bind(address: string, certificate: Buffer): NativeServer {
    if (this.refused.has(address) || this.open.has(address) || this.stillBound-- > 0) {
      throw new Error("io error: Address already in use (os error 98)");
    }
    const requests = new Queue<NativeRequest>();
    let accepting = false;
    this.open.set(address, certificate.toString());
    this.#requests.set(address, requests);
    return {
      accept: async () => {
        accepting = true;
        const request = await requests.take();
        accepting = false;
        return request;
      },
      close: () => {
        if (accepting) throw new Error("this would block for ever");
        this.open.delete(address);
      },
    };
  }

  #client(trusted: string | Buffer[]): NativeClient {
    this.trusted.push(trusted);
    return { connect: (url, options) => this.#connect(url, options?.protocols ?? []) };
  }

  async #connect(url: string, protocols: readonly string[]): Promise<NativeSession> {
    const requests = this.#requests.get(new URL(url).host);
    if (requests === undefined) return await this.onDial(url, protocols);
    requests.give(new FakeRequest(url, new FakeSession()));
    return new FakeSession();
  }
}
