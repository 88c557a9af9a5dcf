import {
  createRendezvous,
  createSecret,
  formatCode,
  parseCode,
  type Rendezvous,
  type RendezvousTrouble,
} from "#clients/client/src/index.ts";
import { OptionError } from "#core/flags.ts";
import { duration, flag, text } from "#core/options.ts";
import { defaultRelay, relayOption } from "./arguments.ts";
import { readSecretFile } from "./terminal.ts";

/** Options that `send` and `receive` share. */
export const meetingOptions = {
  relay: relayOption,
  secretFile: text({
    default: undefined,
    doc: "File with the code or the secret, so that neither stands in the list of processes; `-` is stdin.",
    allowed: "a file name, or -",
  }),
  timeoutMs: duration({
    default: "5m",
    atLeast: "1ms",
    atMost: "7d",
    doc: "How long to wait for the other side.",
  }),
  qr: flag({ default: false, doc: "Show the QR code of a new code even where stderr is no terminal." }),
};

export interface MeetingPlace {
  readonly rendezvous: Rendezvous;
  /** To give to the other side; undefined where both named a plain id. */
  readonly code: string | undefined;
  /** The secret was made just now: the other side does not know it yet. */
  readonly isNew: boolean;
}

/**
 * Where to meet: at a code or a secret that was given, at a plain id, or, when nothing was, at a new secret.
 *
 * Throws `OptionError` and PosternError `code_malformed`, `secret_malformed`, `option_invalid`.
 */
export function meetingPlace(
  operand: string | undefined,
  values: { relay: string | undefined; secretFile: string | undefined },
  relayWasGiven: boolean,
  onTrouble: (trouble: RendezvousTrouble) => void,
): MeetingPlace {
  const relay = values.relay ?? defaultRelay;
  const sealed = (at: string, secret: string, isNew: boolean): MeetingPlace => ({
    rendezvous: createRendezvous({ relay: at, secret, onTrouble }),
    code: formatCode({ relay: at, secret }),
    isNew,
  });
  const byCode = (text: string) => {
    const code = parseCode(text);
    if (relayWasGiven) throw new OptionError("--relay: the code names the relay already.");
    return sealed(code.relay, code.secret, false);
  };
  if (values.secretFile !== undefined) {
    if (operand !== undefined) throw new OptionError("--secret-file: not together with an id or a code.");
    const secret = readSecretFile(values.secretFile, "secret-file");
    return secret.includes("#") ? byCode(secret) : sealed(relay, secret, false);
  }
  if (operand === undefined) return sealed(relay, createSecret(), true);
  if (operand.includes("#")) return byCode(operand);
  return { rendezvous: createRendezvous({ relay, id: operand, onTrouble }), code: undefined, isNew: false };
}

/** What a person is told while the relay is in trouble. */
export function troubleText({ status, unreadable }: RendezvousTrouble): string {
  if (unreadable) return "A message of somebody else is there; waiting for one sealed with this secret.";
  return status === undefined
    ? "The relay does not answer; trying again."
    : `The relay answers ${status}; trying again.`;
}
