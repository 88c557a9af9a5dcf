import { readFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { ed25519 } from "@noble/curves/ed25519.js";
import type { Fetched, Mailbox } from "#clients/client/src/mailbox.ts";
import { OptionError } from "#core/flags.ts";
import { duration, flag, text } from "#core/options.ts";
import { clientCommand } from "./client-command.ts";
import { exitCodes } from "./exit-codes.ts";
import { mailboxAt, mailboxName, mailboxOptions } from "./mailbox-relay.ts";

export const mailboxSend = clientCommand({
  name: "mailbox send",
  usage: "mailbox send MAILBOX [OPTIONS] < FILE",
  about: `
The bytes are sent as they are: seal them first. MAILBOX is 64 hexadecimal digits. Prints the message's id; the relay
then has it on disk, for 120 days by default.

  postern mailbox send "$MAILBOX" < sealed.bin
  postern mailbox send "$MAILBOX" --ohttp-relay https://hop.example/ohttp-relay < sealed.bin`,
  options: {
    ...mailboxOptions,
    file: text({
      default: undefined,
      short: "f",
      doc: "Send this file instead of stdin.",
      allowed: "a file name",
    }),
  },
  operandsMost: 1,
  async run({ values, operands, terminal }) {
    const mailbox = mailboxName(operands[0]);
    const body = values.file === undefined ? await terminal.readStdin() : readFileSync(values.file);
    const blobId = await mailboxAt(values).send(mailbox, body, terminal.signal);
    if (terminal.json) await terminal.writeJson({ blobId, bytes: body.length });
    else await terminal.write(`${blobId}\n`);
    return exitCodes.ok;
  },
});

export const mailboxFetch = clientCommand({
  name: "mailbox fetch",
  usage: "mailbox fetch MAILBOX... [OPTIONS]",
  about: `
Prints one line for each message, oldest first: its mailbox, id, time, and the bytes as base64. Nothing is removed:
postern mailbox ack does that. With --json the last line says "more" if there is a further page, and what is too large
for OHTTP has a size in place of its bytes.

  postern mailbox fetch "$MAILBOX" --wait 25s
  postern mailbox fetch "$MAILBOX" --json | jq -r .blobId`,
  options: {
    ...mailboxOptions,
    waitMs: duration({ default: "0s", atMost: "10m", doc: "Wait this long for a message if there is none." }),
    all: flag({ default: false, doc: "Go on until there is no further page." }),
  },
  operandsMost: 100,
  async run({ values, operands, terminal }) {
    if (operands.length === 0) mailboxName(undefined);
    const mailboxes = operands.map(mailboxName);
    const relay = mailboxAt(values);
    const { signal } = terminal;
    let page = await firstPage(relay, mailboxes, values.waitMs, signal);
    for (;;) {
      const { messages, oversized, truncated } = page;
      for (const { mailbox, blobId, createdAt, size } of oversized) {
        if (terminal.json) await terminal.writeJson({ mailbox, blobId, createdAt: timeOf(createdAt), size });
      }
      if (oversized.length > 0) {
        terminal.note(`Too large for OHTTP, to be fetched without it: ${oversized.length}.`);
      }
      for (const [at, { mailbox, blobId, ciphertext, createdAt }] of messages.entries()) {
        const data = Buffer.from(ciphertext).toString("base64");
        const time = timeOf(createdAt);
        const more = truncated && !values.all && at === messages.length - 1 ? { more: true } : {};
        if (terminal.json)
          await terminal.writeJson({ mailbox, blobId, createdAt: time, ciphertext: data, ...more });
        else await terminal.write(`${mailbox} ${blobId} ${time} ${data}\n`);
      }
      if (truncated && !values.all) terminal.note("There is more: acknowledge these, or use --all.");
      if (!values.all || page.cursor === undefined) return exitCodes.ok;
      page = await relay.fetch(mailboxes, { signal, cursor: page.cursor });
    }
  },
});

function timeOf(seconds: number): string {
  return new Date(seconds * 1000).toISOString();
}

/** What proxies and OHTTP relays let a request wait. */
const longestAskSeconds = 25;
const pollEveryMs = 2000;

/**
 * What waits in the mailboxes, as soon as there is something, and after `waitMs` whatever there is. No relay waits as long
 * as somebody may want to.
 */
async function firstPage(
  relay: Mailbox,
  mailboxes: readonly string[],
  waitMs: number,
  signal: AbortSignal,
): Promise<Fetched> {
  const until = performance.now() + waitMs;
  for (;;) {
    const askedAt = performance.now();
    const waitSeconds = Math.min(longestAskSeconds, Math.ceil((until - askedAt) / 1000));
    const page = await relay.fetch(mailboxes, { signal, ...(waitSeconds > 0 ? { waitSeconds } : {}) });
    const leftMs = until - performance.now();
    if (page.messages.length > 0 || page.oversized.length > 0 || leftMs <= 0) return page;
    // A relay that cannot wait is not asked again at once.
    const sinceMs = performance.now() - askedAt;
    if (sinceMs < pollEveryMs) await pause(Math.min(pollEveryMs - sinceMs, leftMs), undefined, { signal });
  }
}

export const mailboxAck = clientCommand({
  name: "mailbox ack",
  usage: "mailbox ack MAILBOX ID [OPTIONS]",
  about: `
Prints true if the message was there until now, and false if it was not.

  postern mailbox ack "$MAILBOX" "$ID"`,
  options: mailboxOptions,
  operandsMost: 2,
  async run({ values, operands, terminal }) {
    const [name, blobId] = operands;
    const mailbox = mailboxName(name);
    if (blobId === undefined) throw new OptionError("Expected the message's id after the mailbox.");
    const acknowledged = await mailboxAt(values).ack(mailbox, blobId, terminal.signal);
    if (terminal.json) await terminal.writeJson({ acknowledged });
    else await terminal.write(`${acknowledged}\n`);
    return exitCodes.ok;
  },
});

export const mailboxPurge = clientCommand({
  name: "mailbox purge",
  usage: "mailbox purge [MAILBOX] --key FILE [OPTIONS]",
  about: `
Signs the request with an Ed25519 key: FILE holds its 32-byte seed, as bytes or as 64 hexadecimal digits. Without a
MAILBOX it is the one that is named by the public key. Prints how many messages went.

  postern mailbox purge --key seed.hex`,
  options: {
    ...mailboxOptions,
    key: text({
      default: undefined,
      doc: "File with the seed of the key that signs.",
      allowed: "a file name",
    }),
  },
  operandsMost: 1,
  async run({ values, operands, terminal }) {
    if (values.key === undefined) throw new OptionError("--key: missing; a purge is signed.");
    const seed = readSeed(values.key);
    const publicKey = ed25519.getPublicKey(seed);
    const mailbox =
      operands[0] === undefined ? Buffer.from(publicKey).toString("hex") : mailboxName(operands[0]);
    const signer = { publicKey, sign: (message: Uint8Array) => ed25519.sign(message, seed) };
    const deleted = await mailboxAt(values).purge(mailbox, signer, terminal.signal);
    if (terminal.json) await terminal.writeJson({ deleted });
    else await terminal.write(`${deleted}\n`);
    return exitCodes.ok;
  },
});

function readSeed(path: string): Uint8Array {
  const bytes = readFileSync(path);
  if (bytes.byteLength === 32) return bytes;
  const hex = bytes.toString("latin1").trim();
  if (!/^[0-9a-fA-F]{64}$/.test(hex))
    throw new OptionError("--key: the file must hold 32 bytes or 64 hexadecimal digits.");
  return Buffer.from(hex, "hex");
}
