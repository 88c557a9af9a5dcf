import { connect, type Socket } from "node:net";

const headerEnd = Buffer.from("\r\n\r\n");
const lengthHeader = Buffer.from("content-length: ");
const zero = 0x30;

/** Called for each answer with its status and the length of its body in bytes. */
export type AnswerListener = (status: number, bodyBytes: number) => void;

/**
 * One keep-alive connection that spends as little as possible on each answer: request bytes come ready-made, the
 * receive buffer is shared, and of an answer only the status and `content-length` are looked at.
 */
export class KeepAlive {
  onAnswer: AnswerListener = () => {};
  readonly #socket: Socket;
  /** Bytes of the current body that have not come yet. */
  #missing = 0;
  #status = 0;
  #bodyBytes = 0;
  /** The part of a header that came so far, when the kernel cut it. */
  #rest: Buffer | undefined;
  #closing = false;

  private constructor(socket: Socket) {
    this.#socket = socket;
  }

  static open(port: number): Promise<KeepAlive> {
    return new Promise((resolve, reject) => {
      let connection: KeepAlive | undefined;
      const socket = connect({
        host: "127.0.0.1",
        port,
        noDelay: true,
        onread: {
          buffer: shared,
          callback: (bytes) => {
            connection!.#receive(shared.subarray(0, bytes));
            return true;
          },
        },
      });
      connection = new KeepAlive(socket);
      socket.once("connect", () => resolve(connection));
      socket.on("error", (error) => {
        reject(error);
        connection.#lost(error);
      });
      socket.on("close", () => connection.#lost(new Error("the relay closed a connection under load")));
    });
  }

  send(request: Uint8Array): void {
    this.#socket.write(request);
  }

  close(): void {
    this.#closing = true;
    this.#socket.destroy();
  }

  #lost(error: Error): void {
    // A figure from a run that lost connections would say nothing.
    if (!this.#closing) throw error;
  }

  #receive(chunk: Buffer): void {
    let bytes = chunk;
    if (this.#rest) {
      bytes = Buffer.concat([this.#rest, chunk]);
      this.#rest = undefined;
    }
    let at = 0;
    while (at < bytes.length) {
      if (this.#missing > 0) {
        const taken = Math.min(this.#missing, bytes.length - at);
        at += taken;
        this.#missing -= taken;
        if (this.#missing > 0) return;
        this.onAnswer(this.#status, this.#bodyBytes);
        continue;
      }
      const end = bytes.indexOf(headerEnd, at);
      if (end < 0) {
        // The shared buffer is overwritten by the next read of any connection.
        this.#rest = Buffer.from(bytes.subarray(at));
        return;
      }
      this.#status = (bytes[at + 9]! - zero) * 100 + (bytes[at + 10]! - zero) * 10 + (bytes[at + 11]! - zero);
      this.#bodyBytes = contentLength(bytes, at, end);
      this.#missing = this.#bodyBytes;
      at = end + headerEnd.length;
      if (this.#missing === 0) this.onAnswer(this.#status, 0);
    }
  }
}

const shared = Buffer.allocUnsafe(65_536);

function contentLength(bytes: Buffer, from: number, end: number): number {
  const header = bytes.indexOf(lengthHeader, from);
  if (header < 0 || header > end) throw new Error("an answer without content-length");
  let length = 0;
  for (let at = header + lengthHeader.length; at < end; at++) {
    const digit = bytes[at]! - zero;
    if (digit < 0 || digit > 9) break;
    length = length * 10 + digit;
  }
  return length;
}
