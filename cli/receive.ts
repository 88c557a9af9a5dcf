import type { Message } from "#clients/client/src/index.ts";
import { OptionError } from "#core/flags.ts";
import { flag } from "#core/options.ts";
import { encodeBase64 } from "#wire/base64.ts";
import { clientCommand } from "./client-command.ts";
import { exitCodes } from "./exit-codes.ts";
import { meetingOptions, meetingPlace, troubleText } from "./meeting-place.ts";

export const receive = clientCommand({
  name: "receive",
  usage: "receive [CODE | ID] [OPTIONS] > FILE",
  about: `
Without a CODE a new one is made and shown, as a line and as a QR code; whoever has it runs postern send CODE. The relay
is told that the message was collected only after all of it has been written to stdout.

  postern receive 'https://relay.example/#…' > letter.txt   collect what postern send has shown a code for
  postern receive > letter.txt                              make a code, show it, wait for the letter
  postern receive --secret-file code.txt --json             the message as JSON, its body in base64
  postern receive my-inbox --keep                           look at the id my-inbox and leave the message there
  postern receive my-inbox --follow --json                  message after message, one JSON value a line

With --json: {"event":"code","code":…} when one is made, then
{"event":"message","contentType":…,"bytes":…,"body":…} with the body in base64.`,
  options: {
    ...meetingOptions,
    keep: flag({ default: false, doc: "Leave the message at the relay: the sender is not told." }),
    follow: flag({ default: false, doc: "Receive until interrupted or --timeout after the last message." }),
  },
  operandsMost: 1,
  async run({ values, given, operands, terminal }) {
    if (values.keep && values.follow) throw new OptionError("--keep: not together with --follow.");
    let progress: ReturnType<typeof terminal.progress> | undefined;
    const { rendezvous, code, isNew } = meetingPlace(operands[0], values, given.has("relay"), (trouble) =>
      progress ? progress.say(troubleText(trouble)) : terminal.note(troubleText(trouble)),
    );
    if (isNew) {
      if (terminal.json) await terminal.writeJson({ event: "code", code });
      else process.stderr.write(`On the other device:\n\n    postern send '${code}' < FILE\n\n`);
      await terminal.showQr(code!, values.qr);
    }
    const { signal } = terminal;
    const write = ({ body, contentType }: Message) =>
      terminal.json
        ? terminal.writeJson({ event: "message", contentType, bytes: body.length, body: encodeBase64(body) })
        : terminal.write(body);
    do {
      using waiting = terminal.progress("Waiting for a message.");
      progress = waiting;
      const message = await rendezvous.receive({ deadlineMs: values.timeoutMs, signal });
      progress = undefined;
      // The line must be gone before the message is drawn.
      waiting[Symbol.dispose]();
      await write(message);
      if (!values.keep) await message.acknowledge({ signal });
    } while (values.follow);
    return exitCodes.ok;
  },
});
