import { authApprove } from "./auth-approve.ts";
import { authRequest } from "./auth-request.ts";
import { authVerify } from "./auth-verify.ts";
import { type Command, commandGroups } from "./command.ts";
import { completions } from "./completions.ts";
import { config } from "./config.ts";
import { doctor } from "./doctor.ts";
import { exchangeClaim, exchangeComplete, exchangeOffer } from "./exchange.ts";
import { exitCodesHelp } from "./exit-codes.ts";
import { keyNew } from "./key-new.ts";
import { keyShow } from "./key-show.ts";
import { mailboxAck, mailboxFetch, mailboxPurge, mailboxSend } from "./mailbox.ts";
import { receive } from "./receive.ts";
import { send } from "./send.ts";
import { serve } from "./serve.ts";
import { token } from "./token.ts";
import { version } from "./version.ts";

export const commands: readonly Command[] = [
  serve,
  config,
  token,
  send,
  receive,
  mailboxSend,
  mailboxFetch,
  mailboxAck,
  mailboxPurge,
  exchangeOffer,
  exchangeClaim,
  exchangeComplete,
  authRequest,
  authApprove,
  authVerify,
  keyNew,
  keyShow,
  doctor,
  completions(() => commands),
  version,
];

/** The command that the first words name, and what is left of them. */
export function findCommand(
  words: readonly string[],
): { readonly command: Command; readonly args: readonly string[] } | undefined {
  const [first = "", second] = words;
  if (first === "--version" || first === "-V") return { command: version, args: words.slice(1) };
  const command = commands.find(({ name }) => name === first || name === `${first} ${second}`);
  return command && { command, args: words.slice(command.name === first ? 1 : 2) };
}

/** The list of commands: all of them, or those that begin with `family`. */
export function usage(family?: string): string {
  const shown = commands.filter(({ name }) => family === undefined || name.startsWith(`${family} `));
  const width = Math.max(...shown.map(({ name }) => name.length));
  const sections = commandGroups.flatMap((group) => {
    const rows = shown
      .filter((command) => command.group === group)
      .map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`);
    return rows.length > 0 ? [group, ...rows, ""] : [];
  });
  return [
    ...(family === undefined
      ? ["postern: a relay for sealed bytes, and what uses it.", "", "Usage: postern COMMAND [OPTIONS]"]
      : [`Usage: postern ${family} COMMAND [OPTIONS]`]),
    "",
    ...sections,
    "postern COMMAND --help tells more, with examples.",
    exitCodesHelp,
  ].join("\n");
}

/** Is there a command whose name begins with this word and has a second? */
export function isFamily(word: string): boolean {
  return commands.some(({ name }) => name.startsWith(`${word} `));
}
