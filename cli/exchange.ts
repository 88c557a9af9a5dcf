import { readFile } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import { isPosternError, PosternError } from "#clients/client/src/mailbox.ts";
import { OptionError } from "#core/flags.ts";
import { duration, integer, text } from "#core/options.ts";
import { clientCommand } from "./client-command.ts";
import { exitCodes } from "./exit-codes.ts";
import { mailboxAt, mailboxOptions } from "./mailbox-relay.ts";

const pollEveryMs = 1500;

function codeOf(word: string | undefined): string {
  if (word === undefined || !/^\d{6,10}$/.test(word))
    throw new OptionError("Expected the code: six digits or more.");
  return word;
}

export const exchangeOffer = clientCommand({
  name: "exchange offer",
  usage: "exchange offer [OPTIONS] < FILE",
  about: `
Prints the code. Whoever is told it gets the text with postern exchange claim, and leaves an answer for postern exchange
complete. The relay can read both: seal what must stay secret. Six digits can be guessed, with the odds that
docs/decisions/0012-exchange-guesses.md tells; --code-digits 10 cannot.

  postern exchange offer --ttl 10m < public-key.txt`,
  options: {
    ...mailboxOptions,
    ttlMs: duration({ default: "5m", atLeast: "30s", atMost: "1h", doc: "How long the code is good." }),
    codeDigits: integer({ default: 6, atLeast: 6, atMost: 10, doc: "Digits of the code: 6, 8, 9 or 10." }),
    file: text({
      default: undefined,
      short: "f",
      doc: "Offer this file's text instead of stdin.",
      allowed: "a file name",
    }),
  },
  operandsMost: 0,
  async run({ values, terminal }) {
    const payload = await textFrom(values.file, terminal);
    const { code } = await mailboxAt(values).offer(payload, {
      ttlSeconds: Math.floor(values.ttlMs / 1000),
      codeDigits: values.codeDigits,
    });
    if (terminal.json) await terminal.writeJson({ code });
    else await terminal.write(`${code}\n`);
    return exitCodes.ok;
  },
});

export const exchangeClaim = clientCommand({
  name: "exchange claim",
  usage: "exchange claim CODE [OPTIONS] < ANSWER",
  about: `
Prints the text. Stdin, or --file, is the answer that whoever offered it gets.

  postern exchange claim 012345 < my-public-key.txt`,
  options: {
    ...mailboxOptions,
    file: text({
      default: undefined,
      short: "f",
      doc: "Answer with this file's text instead of stdin.",
      allowed: "a file name",
    }),
  },
  operandsMost: 1,
  async run({ values, operands, terminal }) {
    const code = codeOf(operands[0]);
    const payload = await mailboxAt(values).claim(code, await textFrom(values.file, terminal));
    if (terminal.json) await terminal.writeJson({ payload });
    else await terminal.write(payload);
    return exitCodes.ok;
  },
});

export const exchangeComplete = clientCommand({
  name: "exchange complete",
  usage: "exchange complete CODE [OPTIONS]",
  about: `
Prints the answer, once somebody claimed the code. The answer is given out once.

  postern exchange complete 012345 --timeout 2m`,
  options: {
    ...mailboxOptions,
    timeoutMs: duration({ default: "5m", atLeast: "1s", atMost: "1h", doc: "How long to wait for it." }),
  },
  operandsMost: 1,
  async run({ values, operands, terminal }) {
    const code = codeOf(operands[0]);
    const relay = mailboxAt(values);
    const until = performance.now() + values.timeoutMs;
    for (;;) {
      let pauseMs = pollEveryMs;
      const response = await relay.complete(code).catch((error: unknown) => {
        // Others may have spent what is shared; the code is as good as before.
        const seconds = isPosternError(error) ? error.details.retryAfterSeconds : undefined;
        if (seconds === undefined) throw error;
        pauseMs = Math.max(pollEveryMs, seconds * 1000);
        return undefined;
      });
      if (response !== undefined) {
        if (terminal.json) await terminal.writeJson({ response });
        else await terminal.write(response);
        return exitCodes.ok;
      }
      if (performance.now() + pauseMs > until) throw new PosternError("timed_out");
      await pause(pauseMs, undefined, { signal: terminal.signal });
    }
  },
});

async function textFrom(
  file: string | undefined,
  terminal: { readStdin(): Promise<Uint8Array> },
): Promise<string> {
  const bytes = file === undefined ? await terminal.readStdin() : await readFile(file);
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new OptionError("Only text can be exchanged, in UTF-8: write other bytes as base64.");
  }
}
