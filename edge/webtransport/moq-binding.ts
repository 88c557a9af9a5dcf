import { createRequire } from "node:module";
import { WebTransportUnavailableError } from "./webtransport-listener.ts";

// What we use of the native part of @moq/web-transport 0.1.4: QUIC and HTTP/3 in Rust (quinn), on threads of its own.
// Its package for one platform is loaded directly; the one above it brings all platforms' and TypeScript that Node does
// not run there. While a call on an object is under way, the next waits for it.

export interface NativeSend {
  /** Resolves when QUIC has taken all of it: waits for the remote's flow control. */
  write(data: Buffer): Promise<void>;
  finish(): Promise<void>;
  reset(code: number): Promise<void>;
}

export interface NativeReceive {
  /** Resolves to null at the end. */
  read(maxBytes: number): Promise<Buffer | null>;
  stop(code: number): Promise<void>;
}

export interface NativeBidi {
  takeSend(): NativeSend;
  takeRecv(): NativeReceive;
}

export interface NativeSession {
  /** What the server selected; always null on the server itself. */
  readonly protocol: string | null;
  acceptUni(): Promise<NativeReceive>;
  acceptBi(): Promise<NativeBidi>;
  openUni(): Promise<NativeSend>;
  openBi(): Promise<NativeBidi>;
  close(code: number, reason: string): void;
  /** Never rejects. */
  closed(): Promise<{ closeCode: number; reason: string }>;
}

export interface NativeRequest {
  readonly url: Promise<string>;
  ok(): Promise<NativeSession>;
  reject(status: number): Promise<void>;
}

export interface NativeServer {
  accept(): Promise<NativeRequest | null>;
  /** Ends nothing but the accepting. Blocks the process while an `accept` is under way. */
  close(): void;
}

export interface NativeClient {
  connect(url: string, options?: { protocols: string[] }): Promise<NativeSession>;
}

export interface MoqBinding {
  NapiServer: { bind(address: string, certPem: Buffer, keyPem: Buffer): NativeServer };
  NapiClient: {
    withSystemRoots(): NativeClient;
    withCertificateHashes(sha256: Buffer[]): NativeClient;
    disableVerify(): NativeClient;
  };
}

const platforms: Readonly<Record<string, string>> = {
  "linux-x64": "linux-x64-gnu",
  "linux-arm64": "linux-arm64-gnu",
  "darwin-x64": "darwin-x64",
  "darwin-arm64": "darwin-arm64",
  "win32-x64": "win32-x64-msvc",
};

/** Throws `WebTransportUnavailableError`, which says what is missing. */
export function loadMoqBinding(): MoqBinding {
  const machine = `${process.platform}-${process.arch}`;
  const platform = platforms[machine];
  if (platform === undefined) {
    throw new WebTransportUnavailableError(`@moq/web-transport is not made for ${machine}`);
  }
  const name = `@moq/web-transport-${platform}`;
  try {
    return createRequire(import.meta.url)(name) as MoqBinding;
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    const why =
      code === "MODULE_NOT_FOUND" ? "is not installed" : `does not load on this system (${reasonOf(cause)})`;
    throw new WebTransportUnavailableError(`the optional package ${name} ${why}`, { cause });
  }
}

function reasonOf(cause: unknown): string {
  const { message } = cause as Error;
  const needed = /version `GLIBC_([\d.]+)' not found/.exec(message)?.[1];
  if (needed === undefined) return message.split("\n")[0]!;
  const { glibcVersionRuntime } = (
    process.report.getReport() as unknown as { header: { glibcVersionRuntime: string } }
  ).header;
  return `it needs glibc ${needed} or later, this is ${glibcVersionRuntime}`;
}
