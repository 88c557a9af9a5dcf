import {
  type AuthRequest,
  type AuthRequestWarning,
  type Delivery,
  isPubkyError,
  parseAuthRequest,
} from "#clients/pubky/src/index.ts";
import { OptionError } from "#core/flags.ts";
import { duration, flag, list, text } from "#core/options.ts";
import { clientCommand } from "./client-command.ts";
import { exitCodes } from "./exit-codes.ts";
import { passphraseOption, readKeyFile } from "./key-file.ts";
import type { Terminal } from "./terminal.ts";

const warnings: Readonly<Record<AuthRequestWarning, string>> = {
  asks_for_everything: "It asks to read and write EVERYTHING of yours.",
  new_account: "It asks for a new account at a homeserver that the link chose.",
  relay_without_tls: "The relay is reached without TLS: others on the way see that somebody signs in.",
  unreadable_capabilities: "Part of what it asks for was not understood and will not be granted.",
};

export const authApprove = clientCommand({
  name: "auth approve",
  usage: "auth approve LINK --key FILE [OPTIONS]",
  about: `
The authenticator's side of Pubky Auth. Shows what the link asks for, asks you, then signs, seals and leaves the token at
the relay, and waits a little for the app to confirm. Declining sends nothing: the app's request runs out. Exit code 4 then.

  postern auth approve 'pubkyauth://signin?…' --key me.pkarr
  postern auth approve - --key me.key --yes < link.txt     the link from stdin, out of the list of processes; no question
  postern auth approve 'pubkyauth://…' --key me.key --caps /pub/my.app/:r
                                                           grant less than was asked

With --json: {"event":"request", …}, {"event":"approved","publicKey":…}, {"event":"delivered"} or
{"event":"unconfirmed"}.`,
  options: {
    key: text({
      default: undefined,
      short: "k",
      doc: "Your key file; see postern key new.",
      allowed: "a file name",
    }),
    passphraseFile: passphraseOption,
    caps: list({
      default: [],
      doc: "Grant these capabilities instead of all that were asked for.",
      allowed: "entries such as /pub/my.app/:r joined by commas",
    }),
    yes: flag({
      default: false,
      short: "y",
      doc: "Approve without asking. Look at the link yourself before.",
    }),
    timeoutMs: duration({
      default: "10s",
      atMost: "1h",
      doc: "How long to wait for the app's confirmation; 0 ends once the relay has the token. Apps on the Pubky SDK 0.6 never confirm.",
    }),
  },
  operandsMost: 1,
  async run({ values, given, operands: [operand], terminal }) {
    if (operand === undefined)
      throw new OptionError("Name the link: postern auth approve LINK, or - for stdin.");
    if (values.key === undefined) throw new OptionError("--key: needed; postern key new makes one.");
    const link =
      operand === "-"
        ? Buffer.from(await terminal.readStdin())
            .toString("utf8")
            .trim()
        : operand;
    const request = parseAuthRequest(link);
    await show(request, terminal);
    if (!values.yes) {
      const answer = await terminal.ask("Approve? [y/N] ");
      if (answer === undefined) throw new OptionError("--yes: needed where there is no terminal to ask at.");
      if (!/^y(es)?$/i.test(answer)) {
        request.decline();
        terminal.note("Declined; nothing was sent.");
        return exitCodes.refused;
      }
    }
    const { keypair } = await readKeyFile(values.key, terminal, values.passphraseFile);
    const { signal } = terminal;
    const narrowed = given.has("caps") ? { capabilities: values.caps } : {};
    const delivery = await request.approve({ keypair, ...narrowed, signal });
    if (terminal.json) await terminal.writeJson({ event: "approved", publicKey: keypair.publicKey.z32 });
    terminal.note(`Approved as ${keypair.publicKey}.`);
    if (values.timeoutMs === 0) return exitCodes.ok;
    let isConfirmed: boolean;
    {
      using _waiting = terminal.progress("Waiting for the app's confirmation.");
      isConfirmed = await confirmation(delivery, { deadlineMs: values.timeoutMs, signal });
    }
    if (terminal.json) await terminal.writeJson({ event: isConfirmed ? "delivered" : "unconfirmed" });
    terminal.note(
      isConfirmed
        ? "The app has it."
        : "The relay has it; the app has not confirmed, as older ones never do.",
    );
    return exitCodes.ok;
  },
});

/** Whether the app has confirmed in time. Throws when it no longer can: what was left for it is gone. */
async function confirmation(
  delivery: Delivery,
  waiting: { deadlineMs: number; signal: AbortSignal },
): Promise<boolean> {
  try {
    await delivery.delivered(waiting);
    return true;
  } catch (error) {
    if (isPubkyError(error, "delivery_expired") && error.details.status === undefined) return false;
    throw error;
  }
}

async function show(request: AuthRequest, terminal: Terminal): Promise<void> {
  const { kind, capabilities, relayHost, clientId, homeserver } = request;
  if (terminal.json) {
    await terminal.writeJson({
      event: "request",
      kind,
      capabilities,
      relayHost,
      ...(clientId !== undefined && { clientId }),
      ...(homeserver && { homeserver: homeserver.z32 }),
      warnings: request.warnings,
    });
    return;
  }
  terminal.note(`Somebody asks you to sign in (${kind}), through the relay ${relayHost}.`);
  if (clientId !== undefined) terminal.note(`It says that it is ${clientId}; nothing proves that.`);
  if (homeserver) terminal.note(`Homeserver: ${homeserver}.`);
  if (capabilities.length === 0) terminal.note("It asks only who you are.");
  else terminal.note(`It asks for:\n${capabilities.map((entry) => `    ${entry}`).join("\n")}`);
  for (const warning of request.warnings) terminal.note(`! ${warnings[warning]}`);
}
