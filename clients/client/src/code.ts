import { encodeBase64url } from "../../../wire/base64url.ts";
import { PosternError } from "./errors.ts";
import { parseRelay } from "./relay-url.ts";
import { type Secret, secretBytes } from "./sealing.ts";

/** Where to meet and the secret to meet with. */
export interface Code {
  readonly relay: string;
  /** base64url. */
  readonly secret: string;
}

/**
 * One line that tells the other side everything: `https://relay.example/#SECRET`. The secret stands after the `#`, so
 * that a browser which opens the line does not send it to the relay. Whoever sees the line can read the messages.
 *
 * @throws PosternError `option_invalid`, `secret_malformed`
 */
export function formatCode({ relay, secret }: { relay: string | URL; secret: Secret }): string {
  const url = new URL(parseRelay(relay));
  url.hash = encodeBase64url(secretBytes(secret));
  return url.href;
}

/** @throws PosternError `code_malformed`, which never quotes the code */
export function parseCode(code: string): Code {
  const [, relay, secret] = /^\s*(https?:\/\/[^#\s]+)#([A-Za-z0-9_-]{43})\s*$/i.exec(code) ?? [];
  if (relay === undefined || secret === undefined) throw new PosternError("code_malformed");
  try {
    secretBytes(secret);
    return { relay: parseRelay(relay), secret };
  } catch {
    throw new PosternError("code_malformed");
  }
}
