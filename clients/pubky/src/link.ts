import { decodeBase64url, encodeBase64url } from "./base64url.ts";
import type { Bytes } from "./bytes.ts";
import { type Capability, formatCapabilities, readCapabilities } from "./capabilities.ts";
import { parseRelay } from "./channel.ts";
import { PubkyError } from "./errors.ts";
import { PublicKey } from "./keys.ts";

export type LinkScheme = "pubkyauth" | "pubkyring";

interface LinkBase {
  /** `pubkyring` is the older scheme; kept when a link is written again. */
  readonly scheme: LinkScheme;
}

interface ChannelParameters {
  readonly capabilities: readonly Capability[];
  /** Entries of the link that are no capabilities. Left out when the link is written again. */
  readonly droppedCapabilities: readonly string[];
  /** Base URL of the relay, with `/inbox` or `/link` and without the channel. */
  readonly relay: string;
  /** 32 bytes. Whoever has them reads and answers the request. */
  readonly clientSecret: Bytes;
}

interface HomeserverParameters {
  readonly homeserver: PublicKey;
  readonly signupToken?: string;
}

interface ClientParameters {
  /** The app's name for itself, 1 to 253 characters, meant to be a domain. Nothing proves it. */
  readonly clientId: string;
  readonly clientKey: PublicKey;
}

/** A token for an existing account. `bare` links, the oldest, name no intent. */
export interface SigninLink extends LinkBase, ChannelParameters {
  readonly kind: "signin";
  readonly bare?: true;
}
/** First an account at `homeserver`, then a token. */
export interface SignupLink extends LinkBase, ChannelParameters, HomeserverParameters {
  readonly kind: "signup";
}
/** A grant for an existing account. */
export interface SigninGrantLink extends LinkBase, ChannelParameters, ClientParameters {
  readonly kind: "signin_grant";
}
/** First an account at `homeserver`, then a grant. */
export interface SignupGrantLink extends LinkBase, ChannelParameters, HomeserverParameters, ClientParameters {
  readonly kind: "signup_grant";
}
/** An account at `homeserver`; no app and no relay take part. */
export interface DirectSignupLink extends LinkBase, HomeserverParameters {
  readonly kind: "direct_signup";
}
/** Asks another device of the same person to export its key. */
export interface SecretExportLink extends LinkBase {
  readonly kind: "secret_export";
  readonly clientSecret: Bytes;
}

/** A link that is answered with a token. */
export type TokenLink = SigninLink | SignupLink;
/** A link that is answered with a grant. */
export type GrantLink = SigninGrantLink | SignupGrantLink;
/** A link that is answered through a relay. */
export type ChannelLink = TokenLink | GrantLink;
export type PubkyLink = ChannelLink | DirectSignupLink | SecretExportLink;

export type LinkKind = PubkyLink["kind"];

const LINK_MAX_LENGTH = 16_384;
export const CLIENT_ID_MAX_LENGTH = 253;

/**
 * Reads a `pubkyauth://` link of any kind. The form encoding and the unencoded text of old senders are both
 * read; of repeated parameters the first counts; unknown ones do not.
 *
 * @throws PubkyError `link_scheme`, `link_intent`, then `link_parameter_missing` or `link_parameter_invalid` for
 *   the first parameter at fault (`details.parameter`); no value is ever repeated in the error
 */
export function parseLink(text: string): PubkyLink {
  // Not `new URL`: older browsers do not find the host of a scheme they do not know.
  const match = /^([^:]*):(?:\/\/([^/?#]*)([^?#]*)(?:\?([^#]*))?)?/.exec(
    text.length <= LINK_MAX_LENGTH ? text.trim() : "",
  );
  const scheme = match?.[1]?.toLowerCase();
  if (scheme !== "pubkyauth" && scheme !== "pubkyring") throw new PubkyError("link_scheme");
  const base = { scheme } as const;
  const query = new URLSearchParams(match?.[4] ?? "");
  switch (match?.[2]) {
    case "signin":
      return { kind: "signin", ...base, ...channelParameters(query) };
    case "":
      return { kind: "signin", bare: true, ...base, ...channelParameters(query) };
    case "signup":
      return { kind: "signup", ...base, ...channelParameters(query), ...homeserverParameters(query) };
    case "signin_grant":
      return { kind: "signin_grant", ...base, ...channelParameters(query), ...clientParameters(query) };
    case "signup_grant":
      return {
        kind: "signup_grant",
        ...base,
        ...channelParameters(query),
        ...homeserverParameters(query),
        ...clientParameters(query),
      };
    case "direct_signup":
      return { kind: "direct_signup", ...base, ...homeserverParameters(query) };
    case "secret_export":
      return { kind: "secret_export", ...base, clientSecret: secretParameter(query) };
    default:
      throw new PubkyError("link_intent");
  }
}

/** Writes a link in the form encoding, which carries any value whole. */
export function formatLink(link: PubkyLink): string {
  const query = new URLSearchParams();
  if ("relay" in link) {
    query.append("caps", formatCapabilities(link.capabilities));
    query.append("relay", link.relay);
  }
  if ("clientSecret" in link) query.append("secret", encodeBase64url(link.clientSecret));
  if ("homeserver" in link) {
    query.append("hs", link.homeserver.z32);
    if (link.signupToken !== undefined) query.append("st", link.signupToken);
  }
  if ("clientId" in link) {
    query.append("cid", link.clientId);
    query.append("cpk", link.clientKey.z32);
  }
  const intent = link.kind === "signin" && link.bare ? "/" : link.kind;
  return `${link.scheme}://${intent}?${query}`;
}

function channelParameters(query: URLSearchParams): ChannelParameters {
  const { capabilities, dropped } = readCapabilities(required(query, "caps"));
  const relay = required(query, "relay");
  if (!parseRelay(relay)) throw invalid("relay", "not an http or https URL");
  return { capabilities, droppedCapabilities: dropped, relay, clientSecret: secretParameter(query) };
}

function secretParameter(query: URLSearchParams): Bytes {
  const text = required(query, "secret");
  let secret: Bytes;
  try {
    secret = decodeBase64url(text);
  } catch {
    throw invalid("secret", "not base64url without padding");
  }
  if (secret.length !== 32) throw invalid("secret", "not 32 bytes");
  return secret;
}

function homeserverParameters(query: URLSearchParams): HomeserverParameters {
  const homeserver = keyParameter(query, "hs");
  const signupToken = query.get("st");
  return signupToken === null ? { homeserver } : { homeserver, signupToken };
}

function clientParameters(query: URLSearchParams): ClientParameters {
  const clientId = required(query, "cid");
  if (!isClientId(clientId)) throw invalid("cid", "not 1 to 253 characters");
  return { clientId, clientKey: keyParameter(query, "cpk") };
}

export function isClientId(text: string): boolean {
  return text.length >= 1 && text.length <= CLIENT_ID_MAX_LENGTH;
}

function keyParameter(query: URLSearchParams, name: string): PublicKey {
  const text = required(query, name);
  try {
    return PublicKey.parseZ32(text);
  } catch {
    throw invalid(name, "not a public key in z-base-32");
  }
}

function required(query: URLSearchParams, name: string): string {
  const value = query.get(name);
  if (value === null) {
    throw new PubkyError("link_parameter_missing", {
      message: `Missing query parameter ${name}`,
      details: { parameter: name },
    });
  }
  return value;
}

function invalid(name: string, why: string): PubkyError {
  return new PubkyError("link_parameter_invalid", {
    message: `Invalid query parameter ${name}: ${why}`,
    details: { parameter: name },
  });
}
