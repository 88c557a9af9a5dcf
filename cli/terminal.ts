import { closeSync, openSync, readFileSync } from "node:fs";
import { createInterface } from "node:readline/promises";
import { ReadStream } from "node:tty";
import QRCode from "qrcode";
import { OptionError } from "#core/flags.ts";

/** Longest message read from stdin or a file: as much as any relay can be set to take. */
const inputMaxBytes = 16 * 2 ** 20;

/**
 * Where a verb talks: results go to stdout, everything for people to stderr, so that the one can be piped while the other
 * is read.
 */
export class Terminal {
  readonly json: boolean;
  readonly quiet: boolean;
  /** Aborts at Ctrl-C. */
  readonly signal: AbortSignal;

  constructor(of: { json: boolean; quiet: boolean; signal: AbortSignal }) {
    this.json = of.json;
    this.quiet = of.quiet;
    this.signal = of.signal;
  }

  /** Is there somebody to show a moving line to? */
  get isInteractive(): boolean {
    return process.stderr.isTTY === true && !this.json && !this.quiet;
  }

  /** Bytes of the result, handed over to whoever reads stdout. */
  async write(bytes: Uint8Array | string): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      // An error is told twice, here and to the callback; without a listener it would end the process.
      process.stdout.once("error", reject);
      process.stdout.write(bytes, (error) => {
        if (error) return reject(error);
        process.stdout.off("error", reject);
        resolve();
      });
    });
  }

  /** One JSON value on a line of its own. */
  async writeJson(value: unknown): Promise<void> {
    await this.write(`${JSON.stringify(value)}\n`);
  }

  /** A line for people. */
  note(line: string): void {
    if (!this.quiet && !this.json) process.stderr.write(`${line}\n`);
  }

  /** A code to scan, where somebody can see it. */
  async showQr(text: string, wanted: boolean): Promise<void> {
    if (!wanted && !this.isInteractive) return;
    // Colours keep dark on light, which scanners expect, on any terminal; without one there are only the shapes.
    const type = process.stderr.isTTY ? "terminal" : "utf8";
    process.stderr.write(
      `${await QRCode.toString(text, { type, small: true, errorCorrectionLevel: "L" })}\n`,
    );
  }

  /** A line that shows what is waited for and for how long, gone when disposed. Only on a terminal. */
  progress(text: string): Disposable & { say(text: string): void } {
    if (!this.isInteractive) return { say: () => {}, [Symbol.dispose]: () => {} };
    const startedAt = performance.now();
    let said = text;
    const draw = () => {
      const seconds = Math.floor((performance.now() - startedAt) / 1000);
      process.stderr.write(`\r\x1b[K${said} ${seconds} s, Ctrl-C stops`);
    };
    const timer = setInterval(draw, 1000);
    draw();
    return {
      say(now) {
        said = now;
        draw();
      },
      [Symbol.dispose]() {
        clearInterval(timer);
        process.stderr.write("\r\x1b[K");
      },
    };
  }

  /** All of stdin. */
  async readStdin(): Promise<Uint8Array> {
    const stop = () => process.stdin.destroy();
    this.signal.addEventListener("abort", stop, { once: true });
    const chunks: Uint8Array[] = [];
    let length = 0;
    try {
      for await (const chunk of process.stdin) {
        length += chunk.length;
        if (length > inputMaxBytes) throw new OptionError("stdin: more than 16 MiB, which no relay takes.");
        chunks.push(chunk);
      }
    } finally {
      this.signal.removeEventListener("abort", stop);
    }
    return Buffer.concat(chunks);
  }

  /** A question to the person at the terminal, though stdin may be something else. Undefined when there is nobody. */
  async ask(question: string, options: { hidden?: boolean } = {}): Promise<string | undefined> {
    if (process.stderr.isTTY !== true) return undefined;
    let descriptor: number;
    try {
      descriptor = openSync("/dev/tty", "r+");
    } catch {
      return undefined;
    }
    const input = new ReadStream(descriptor);
    try {
      if (options.hidden) return await readHidden(question, input, this.signal);
      process.stderr.write(question);
      const lines = createInterface({ input });
      const answer = await lines.question("", { signal: this.signal });
      lines.close();
      return answer.trim();
    } finally {
      input.destroy();
      try {
        closeSync(descriptor);
      } catch {
        // The stream has closed it already.
      }
    }
  }
}

/** A line typed without an echo. The echo is off before the question is there: whoever types at once is not shown. */
function readHidden(question: string, input: ReadStream, signal: AbortSignal): Promise<string> {
  input.setRawMode(true);
  process.stderr.write(question);
  return new Promise((resolve, reject) => {
    let typed = "";
    const done = (end: () => void) => {
      input.setRawMode(false);
      process.stderr.write("\n");
      end();
    };
    signal.addEventListener("abort", () => done(() => reject(signal.reason)), { once: true });
    input.on("data", (chunk: Buffer) => {
      for (const letter of chunk.toString("utf8")) {
        if (letter === "\r" || letter === "\n") return done(() => resolve(typed));
        // In raw mode the keyboard's own signals are ours to send.
        if (letter === "\x03") return process.kill(process.pid, "SIGINT");
        typed = letter === "\x7f" || letter === "\b" ? typed.slice(0, -1) : typed + letter;
      }
      return undefined;
    });
  });
}

/** A small file with a secret in it, without the line's end. */
export function readSecretFile(path: string, option: string): string {
  try {
    return readFileSync(path === "-" ? 0 : path, "utf8").trim();
  } catch (error) {
    throw new OptionError(`--${option}: cannot read ${path}: ${(error as Error).message}.`);
  }
}
