import { readFileSync } from "node:fs";
import { OptionError } from "#core/flags.ts";
import { flag, text } from "#core/options.ts";
import { clientCommand } from "./client-command.ts";
import { exitCodes } from "./exit-codes.ts";
import { meetingOptions, meetingPlace, troubleText } from "./meeting-place.ts";

export const send = clientCommand({
  name: "send",
  usage: "send [CODE | ID] [OPTIONS] < FILE",
  about: `
The message is sealed: neither the relay nor anybody on the way can read it. Without a CODE a new one is made and shown,
as a line and as a QR code; whoever has it runs postern receive CODE. A code is the relay's URL, # and a secret.

An ID instead of a code sends the bytes as they are, for other programs that speak to the relay: seal them yourself.

  postern send < letter.txt                        make a code, show it, wait until the letter is collected
  echo hello | postern send 'https://relay.example/#…'
                                                   answer a postern receive that showed this code
  postern send --secret-file code.txt < letter.txt the same, with the code out of the list of processes
  postern send my-inbox --no-wait < sealed.bin     plain bytes to the id my-inbox; end once the relay has them

With --json: {"event":"code","code":…} when one is made, then {"event":"stored","expiresAt":…}, {"event":"delivered"}.`,
  options: {
    ...meetingOptions,
    file: text({
      default: undefined,
      short: "f",
      doc: "Send this file instead of stdin.",
      allowed: "a file name",
    }),
    contentType: text({
      default: undefined,
      doc: "What the message is, for the receiver, as text/plain. Sealed along with it.",
      pattern: /^[ -~]{1,255}$/,
      allowed: "at most 255 characters of ASCII",
    }),
    wait: flag({
      default: true,
      doc: "Wait until the message is collected; --no-wait ends once the relay has it.",
    }),
  },
  operandsMost: 1,
  async run({ values, given, operands, terminal }) {
    if (values.secretFile === "-" && values.file === undefined)
      throw new OptionError("--secret-file: stdin is the message already; use --file for one of them.");
    let progress: ReturnType<typeof terminal.progress> | undefined;
    const place = meetingPlace(operands[0], values, given.has("relay"), (trouble) =>
      progress ? progress.say(troubleText(trouble)) : terminal.note(troubleText(trouble)),
    );
    const { rendezvous, code, isNew } = place;
    if (values.file === undefined && process.stdin.isTTY) terminal.note("Type the message; Ctrl-D ends it.");
    const body = values.file === undefined ? await terminal.readStdin() : readFileSync(values.file);
    const { signal } = terminal;

    const contentType = values.contentType === undefined ? {} : { contentType: values.contentType };
    const sent = await rendezvous.send(body, { ...contentType, signal });
    if (isNew) {
      if (terminal.json) await terminal.writeJson({ event: "code", code });
      else process.stderr.write(`On the other device:\n\n    postern receive '${code}'\n\n`);
      await terminal.showQr(code!, values.qr);
    }
    if (terminal.json) {
      const expiresAt = sent.expiresAt === undefined ? null : new Date(sent.expiresAt).toISOString();
      await terminal.writeJson({ event: "stored", bytes: body.length, expiresAt });
    }
    if (!values.wait) {
      terminal.note(`Stored, ${body.length} bytes; it can be collected now.`);
      return exitCodes.ok;
    }
    {
      using waiting = terminal.progress("Stored; waiting until it is collected.");
      progress = waiting;
      await sent.delivered({ deadlineMs: values.timeoutMs, signal });
      progress = undefined;
    }
    if (terminal.json) await terminal.writeJson({ event: "delivered" });
    terminal.note(`Collected, ${body.length} bytes.`);
    return exitCodes.ok;
  },
});
