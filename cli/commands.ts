import type { CommandEntry } from "./command.ts";

/** Every command, under the headings of the list. */
export const commandGroups: Readonly<Record<string, readonly CommandEntry[]>> = {
  "Run a relay": [
    { name: "serve", summary: "run the relay", load: async () => (await import("./serve.ts")).serve },
    {
      name: "config",
      summary: "print the options in effect and where each came from",
      load: async () => (await import("./config.ts")).config,
    },
    {
      name: "token key",
      summary: "make a key that live tokens are signed with",
      load: async () => (await import("./token-key.ts")).tokenKey,
    },
    {
      name: "token mint",
      summary: "print a token for the live mode",
      load: async () => (await import("./token-mint.ts")).tokenMint,
    },
    {
      name: "token inspect",
      summary: "tell what a live token says, and whether it is valid",
      load: async () => (await import("./token-inspect.ts")).tokenInspect,
    },
  ],
  "Send and receive": [
    {
      name: "send",
      summary: "leave a message at a relay and wait until it is collected",
      load: async () => (await import("./send.ts")).send,
    },
    {
      name: "receive",
      summary: "collect a message from a relay, waiting for it",
      load: async () => (await import("./receive.ts")).receive,
    },
  ],
  "Mailboxes and exchange codes": [
    {
      name: "mailbox send",
      summary: "leave sealed bytes in a mailbox until their owner collects them",
      load: async () => (await import("./mailbox.ts")).mailboxSend,
    },
    {
      name: "mailbox fetch",
      summary: "look at what waits in mailboxes",
      load: async () => (await import("./mailbox.ts")).mailboxFetch,
    },
    {
      name: "mailbox ack",
      summary: "remove a message from a mailbox",
      load: async () => (await import("./mailbox.ts")).mailboxAck,
    },
    {
      name: "mailbox purge",
      summary: "empty a mailbox",
      load: async () => (await import("./mailbox.ts")).mailboxPurge,
    },
    {
      name: "exchange offer",
      summary: "offer a text under a short code that can be told by voice",
      load: async () => (await import("./exchange.ts")).exchangeOffer,
    },
    {
      name: "exchange claim",
      summary: "get the text behind a code, and leave an answer",
      load: async () => (await import("./exchange.ts")).exchangeClaim,
    },
    {
      name: "exchange complete",
      summary: "wait for the answer to an offer",
      load: async () => (await import("./exchange.ts")).exchangeComplete,
    },
  ],
  "Pubky Auth": [
    {
      name: "auth request",
      summary: "ask somebody to sign in, and print their token",
      load: async () => (await import("./auth-request.ts")).authRequest,
    },
    {
      name: "auth approve",
      summary: "look at a sign-in request and approve it with your key",
      load: async () => (await import("./auth-approve.ts")).authApprove,
    },
    {
      name: "auth verify",
      summary: "check a token: who signed it, and what it grants",
      load: async () => (await import("./auth-verify.ts")).authVerify,
    },
    {
      name: "key new",
      summary: "make a Pubky key and keep it in a file",
      load: async () => (await import("./key-new.ts")).keyNew,
    },
    {
      name: "key show",
      summary: "print the public key of a key file",
      load: async () => (await import("./key-show.ts")).keyShow,
    },
  ],
  "Help yourself": [
    {
      name: "doctor",
      summary: "find out whether a relay works for everybody, and why not",
      load: async () => (await import("./doctor.ts")).doctor,
    },
    {
      name: "completions",
      summary: "print what makes your shell complete commands and options",
      load: async () => (await import("./completions.ts")).completions(commands),
    },
    {
      name: "version",
      summary: "print the version",
      load: async () => (await import("./version.ts")).version,
    },
  ],
};

export const commands: readonly CommandEntry[] = Object.values(commandGroups).flat();

/** The command that the first words name, and what is left of them. */
export function findCommand(
  words: readonly string[],
): { readonly entry: CommandEntry; readonly args: readonly string[] } | undefined {
  const [given = "", second] = words;
  const first = given === "--version" || given === "-V" ? "version" : given;
  const entry = commands.find(({ name }) => name === first || name === `${first} ${second}`);
  return entry && { entry, args: words.slice(entry.name === first ? 1 : 2) };
}

/** The list of commands: all of them, or those whose first word is `family`. */
export function usage(exitCodes: string, family?: string): string {
  const isShown = ({ name }: CommandEntry) => family === undefined || name.startsWith(`${family} `);
  const width = Math.max(...commands.filter(isShown).map(({ name }) => name.length));
  const sections = Object.entries(commandGroups).flatMap(([group, entries]) => {
    const rows = entries.filter(isShown).map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`);
    return rows.length > 0 ? [group, ...rows, ""] : [];
  });
  return [
    ...(family === undefined
      ? ["postern: a relay for sealed bytes, and what uses it.", "", "Usage: postern COMMAND [OPTIONS]"]
      : [`Usage: postern ${family} COMMAND [OPTIONS]`]),
    "",
    ...sections,
    "postern COMMAND --help tells more, with examples.",
    exitCodes,
  ].join("\n");
}

/** Is there a command whose first word is this and that has a second? */
export function isFamily(word: string): boolean {
  return commands.some(({ name }) => name.startsWith(`${word} `));
}
