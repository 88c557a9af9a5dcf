import { X509Certificate } from "node:crypto";
import v8 from "node:v8";
import vm from "node:vm";
import type { Cancel, Clock } from "#core/clock.ts";
import type { LiveAcceptor } from "#wire/live/acceptor.ts";
import { type CertificatePair, certificateHash } from "../tls/certificates.ts";
import { loadMoqBinding, type MoqBinding, type NativeRequest, type NativeServer } from "./moq-binding.ts";
import { MoqSession } from "./moq-session.ts";
import {
  answerConnect,
  type WebTransportListener,
  type WebTransportOptions,
} from "./webtransport-listener.ts";

/** How long a client has to read why its session was closed. */
const closeGraceMs = 1_000;
/** The first and the longest wait before a port is tried again that the library has not let go of yet. */
const bindAgainMs = 10;
const bindAgainMaxMs = 5_000;
/** The wait after a failure to accept. */
const acceptAgainMs = 100;
/** So long before its certificate ends a session does not keep us from the next any more. */
const renewalMarginMs = 86_400_000;

/**
 * Listens by way of @moq/web-transport. Windows and timeouts are the library's own. Rejects with
 * `WebTransportUnavailableError` where it is not there, with the library's error where the address cannot be had.
 */
export async function listenMoq<Admission>(
  acceptor: LiveAcceptor<Admission>,
  options: WebTransportOptions,
  clock: Clock,
  report: (error: unknown) => void,
  binding: MoqBinding = loadMoqBinding(),
): Promise<WebTransportListener> {
  const listener = new MoqListener(binding, acceptor, options, clock, report);
  listener.open();
  return listener;
}

class MoqListener<Admission> implements WebTransportListener {
  readonly port: number;
  readonly #binding: MoqBinding;
  readonly #acceptor: LiveAcceptor<Admission>;
  readonly #clock: Clock;
  readonly #report: (error: unknown) => void;
  readonly #sessions = new Map<MoqSession, Promise<void>>();
  #certificate: CertificatePair;
  /** To be served as soon as nobody needs the present one any more. */
  #next: CertificatePair | undefined;
  #cancelNext: Cancel = () => {};
  /** Requests whose answer is still to be found. */
  #answering = 0;
  /** Addresses to listen at, and where it is done: each ends with the accepting. */
  #hosts: readonly string[];
  readonly #accepting = new Map<string, Promise<void>>();
  #stopping = false;
  #renewing = false;
  #closed = false;

  constructor(
    binding: MoqBinding,
    acceptor: LiveAcceptor<Admission>,
    options: WebTransportOptions,
    clock: Clock,
    report: (error: unknown) => void,
  ) {
    this.#binding = binding;
    this.#acceptor = acceptor;
    this.#hosts = options.hosts;
    this.port = options.port;
    this.#certificate = options.certificate;
    this.#clock = clock;
    this.#report = report;
  }

  get certificateHash(): string {
    return certificateHash(this.#certificate.cert);
  }

  connections(): number {
    return this.#sessions.size;
  }

  /** Opens the port. Throws the library's error where the first address cannot be had. */
  open(): void {
    this.#hosts = this.#hosts.filter((host, at) => {
      try {
        this.#bind(host, this.#certificate);
        return true;
      } catch (error) {
        if (at === 0) throw error;
        return false;
      }
    });
  }

  #bind(host: string, { cert, key }: CertificatePair): void {
    const address = addressText(host, this.port);
    const server = this.#binding.NapiServer.bind(address, Buffer.from(cert), Buffer.from(key));
    this.#accepting.set(host, this.#accept(server));
  }

  /**
   * The library takes a certificate only with the port, and lets go of the port when no session is left: so the new one
   * waits for that, at most until the day before the old one ends.
   */
  renew(certificate: CertificatePair): void {
    this.#next = certificate;
    this.#cancelNext();
    const end = new X509Certificate(this.#certificate.cert).validToDate.getTime();
    this.#cancelNext = this.#clock.after(Math.max(0, end - renewalMarginMs - this.#clock.now()), () => {
      for (const session of this.#sessions.keys()) session.close(0, "the relay takes a new certificate");
    });
    this.#renewWhenIdle();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#cancelNext();
    const late = Promise.withResolvers<void>();
    const cancel = this.#clock.after(closeGraceMs, late.resolve);
    await Promise.race([Promise.all(this.#sessions.values()), late.promise]);
    await Promise.race([this.#stop(), late.promise]);
    cancel();
  }

  async #accept(server: NativeServer): Promise<void> {
    while (!this.#stopping) {
      try {
        const request = await server.accept();
        if (request === null) return;
        if (this.#stopping) request.reject(503).catch(() => {});
        else void this.#answer(request).catch(this.#report);
      } catch (error) {
        this.#report(error);
        await new Promise<void>((resolve) => this.#clock.after(acceptAgainMs, resolve));
      }
    }
    server.close();
  }

  async #answer(request: NativeRequest): Promise<void> {
    this.#answering++;
    try {
      const { pathname, search, host } = new URL(await request.url);
      const knock = { path: pathname + search, authority: host, protocols: [] };
      const answer = await answerConnect(this.#acceptor, knock, this.#report);
      if ("status" in answer) await request.reject(answer.status);
      else this.#begin(new MoqSession(await request.ok(), "server", undefined), answer.open);
    } finally {
      this.#answering--;
      this.#renewWhenIdle();
    }
  }

  #begin(session: MoqSession, open: (session: MoqSession) => void): void {
    open(session);
    const over = session.run().finally(() => {
      this.#sessions.delete(session);
      this.#renewWhenIdle();
    });
    this.#sessions.set(session, over);
  }

  #renewWhenIdle(): void {
    if (this.#next === undefined || this.#closed || this.#renewing) return;
    if (this.#sessions.size + this.#answering > 0) return;
    this.#cancelNext();
    const next = this.#next;
    this.#next = undefined;
    this.#renewing = true;
    void this.#stop().then(() => this.#bindAgain(next, bindAgainMs));
  }

  /** Ends the accepting. It waits for a client, and the library cannot be closed meanwhile: so we are the client. */
  async #stop(): Promise<void> {
    this.#stopping = true;
    for (const host of this.#accepting.keys()) {
      const poke = this.#binding.NapiClient.disableVerify();
      const address = addressText(everywhere[host] ?? host, this.port);
      poke.connect(`https://${address}/`).catch(() => {});
    }
    await Promise.all(this.#accepting.values());
    this.#accepting.clear();
    this.#stopping = false;
  }

  /** The library's socket goes with the last object that stands for it, so these are collected now. */
  #bindAgain(next: CertificatePair, inMs: number): void {
    if (this.#closed) return;
    collectGarbage();
    this.#clock.after(inMs, () => {
      if (this.#closed) return;
      try {
        for (const host of this.#hosts) if (!this.#accepting.has(host)) this.#bind(host, next);
      } catch (error) {
        if (inMs >= bindAgainMaxMs) this.#report(error);
        return this.#bindAgain(next, Math.min(2 * inMs, bindAgainMaxMs));
      }
      this.#certificate = next;
      this.#renewing = false;
      this.#renewWhenIdle();
    });
  }
}

/** Where who listens everywhere reaches itself. */
const everywhere: Readonly<Record<string, string>> = { "0.0.0.0": "127.0.0.1", "::": "::1" };

const addressText = (host: string, port: number): string =>
  host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;

function collectGarbage(): void {
  v8.setFlagsFromString("--expose-gc");
  vm.runInNewContext("gc")();
}
