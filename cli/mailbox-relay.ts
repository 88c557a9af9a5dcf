import { readFileSync } from "node:fs";
import { createMailbox, type Mailbox } from "#clients/client/src/mailbox.ts";
import { OptionError } from "#core/flags.ts";
import { flag, text } from "#core/options.ts";
import { defaultRelay, relayOption } from "./arguments.ts";

/** What every mailbox and exchange verb takes. */
export const mailboxOptions = {
  relay: relayOption,
  ohttp: flag({
    default: false,
    doc: "Send requests in OHTTP capsules.",
  }),
  ohttpRelay: text({
    default: undefined,
    doc: "URL of an OHTTP relay to send the capsules through, so that the mailbox relay does not learn who asks.",
    pattern: /^https?:\/\/\S+$/,
    allowed: "a URL such as https://hop.example/ohttp-relay",
  }),
  ohttpKey: text({
    default: undefined,
    doc: "File with the mailbox relay's OHTTP key, as its `/v2/ohttp-key` gives it; it is good for a day at least. Without it the key is asked for where the capsules go, and an OHTTP relay that is not honest can give its own.",
    allowed: "a file name",
  }),
};

export function mailboxAt(values: {
  readonly relay: string | undefined;
  readonly ohttp: boolean;
  readonly ohttpRelay: string | undefined;
  readonly ohttpKey: string | undefined;
}): Mailbox {
  const { ohttpRelay, ohttpKey } = values;
  const ohttp = (values.ohttp || ohttpRelay !== undefined || ohttpKey !== undefined) && {
    ...(ohttpRelay === undefined ? {} : { relayUrl: ohttpRelay }),
    ...(ohttpKey === undefined ? {} : { keyConfig: readFileSync(ohttpKey) }),
  };
  return createMailbox({ relay: values.relay ?? defaultRelay, ohttp });
}

/** A mailbox's name from the command line; not quoted in the error, since whoever has it may read it. */
export function mailboxName(word: string | undefined): string {
  if (word === undefined || !/^[0-9a-fA-F]{64}$/.test(word)) {
    throw new OptionError("Expected a mailbox: 64 hexadecimal digits.");
  }
  return word.toLowerCase();
}
