import { choice, duration, flag, integer, list, type OptionSet, prefixes, text } from "#core/options.ts";
import { tierPattern } from "../tier.ts";

/** Who may use the live mode. The other names are the original relay's. */
export const liveAuthOptions = {
  authKey: text({
    default: undefined,
    doc: "File with the key that live tokens are signed with (`postern token key new` makes one), or its URL (https, or on this machine). The public half is enough: the relay only verifies.",
    allowed: "a file name or a URL",
    also: { env: ["MOQ_AUTH_KEY"], toml: ["auth.key"] },
  }),
  authKeyDir: text({
    default: undefined,
    doc: "Folder with one key file for each key id, `{kid}.jwk`, or the URL of one (https, or on this machine). A folder is read again for each token: a file that is removed lets nobody in any more. A URL is asked again as its `Cache-Control` says.",
    allowed: "a folder name or a URL",
    also: { env: ["MOQ_AUTH_KEY_DIR"], toml: ["auth.key-dir", "auth.key_dir"] },
  }),
  authApi: text({
    default: undefined,
    doc: "URL of a service that decides about each session, instead of `auth-key`, `auth-key-dir` and `auth-public`: `GET URL?root=&kid=&mtls=&transport=` answers `{alias, public, key, tier}` (docs/guides/live-access.md). Where it fails, sessions are refused with 502.",
    allowed: "a URL",
    also: { env: ["MOQ_AUTH_API"], toml: ["auth.api", "auth.auth_api", "auth.auth-api"] },
  }),
  authPublicApi: text({
    default: undefined,
    doc: "URL of a service that says what anybody may do at a path where `auth-public` says nothing: `GET URL/PATH` answers `{subscribe: [...], publish: [...]}`, prefixes relative to the path.",
    allowed: "a URL",
    also: {
      env: ["MOQ_AUTH_PUBLIC_API"],
      toml: ["auth.public-api", "auth.public_api", "auth.public.api"],
    },
  }),
  authFetchTimeoutMs: duration({
    default: "5s",
    atLeast: "100ms",
    atMost: "1m",
    doc: "How long a key or a decision may take that is asked for over HTTP.",
  }),
  authDomain: list({
    default: [],
    doc: "Domains whose subdomains are parts of the path: below `cdn.example`, `team.customer.cdn.example/a` is `customer/team/a`. The longest that fits wins.",
    pattern: /^\.?[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*$/,
    allowed: "domain names joined by commas",
    also: { env: ["MOQ_AUTH_DOMAIN"], toml: ["auth.domain", "auth.domains"] },
  }),
  authMtlsTier: text({
    default: undefined,
    doc: "Label under which the traffic of sessions with a client certificate (`server-tls-root`) is counted.",
    pattern: tierPattern,
    allowed: "letters, digits, _ . - and / between them",
    also: { env: ["MOQ_AUTH_MTLS_TIER"], toml: ["auth.mtls-tier", "auth.mtls_tier"] },
  }),
  authRevoked: text({
    default: undefined,
    doc: "File with the ids of tokens that are no longer good, one a line; `postern token inspect` tells a token's id. Read again when it changes.",
    allowed: "a file name",
  }),
  authRecheckMs: duration({
    default: "30s",
    atLeast: "100ms",
    atMost: "1h",
    doc: "How often the tokens of open live sessions are looked at again: a session ends at most so long after its token was revoked or its key was taken out of `auth-key-dir`.",
  }),
  authPublic: prefixes({
    default: undefined,
    doc: 'Prefixes of broadcasts that anybody may publish and watch without a token. The empty text ("") is everything; unset, the default, is nothing.',
    also: { env: ["MOQ_AUTH_PUBLIC"], toml: ["auth.public"] },
  }),
  authPublicSubscribe: prefixes({
    default: undefined,
    doc: "As `auth-public`, for watching alone.",
    also: {
      env: ["MOQ_AUTH_PUBLIC_SUBSCRIBE"],
      toml: ["auth.public-subscribe", "auth.public_subscribe", "auth.public.subscribe"],
    },
  }),
  authPublicPublish: prefixes({
    default: undefined,
    doc: "As `auth-public`, for publishing alone.",
    also: {
      env: ["MOQ_AUTH_PUBLIC_PUBLISH"],
      toml: ["auth.public-publish", "auth.public_publish", "auth.public.publish"],
    },
  }),
  privacypassEnabled: flag({
    default: false,
    doc: "Accept Privacy Pass tokens for live sessions, and ask for one where nothing else lets a session in.",
    also: { flags: ["pp-enabled"], env: ["MOQ_PP_ENABLED"], toml: ["privacypass.enabled"] },
  }),
  privacypassIssuer: text({
    default: "demo-pat.issuer.cloudflare.com",
    doc: "Host name of the issuer whose tokens are accepted. With `privacypass-serve` it is this relay's own.",
    pattern: /^[A-Za-z0-9.:-]+$/,
    allowed: "a host name",
    also: { flags: ["pp-issuer"], env: ["MOQ_PP_ISSUER"], toml: ["privacypass.issuer"] },
  }),
  privacypassIssuerKey: text({
    default: undefined,
    doc: "File with the issuer's public key, in PEM, DER or base64url. Unset, it comes from the issuer's directory, and again each hour.",
    allowed: "a file name",
    also: {
      flags: ["pp-issuer-key"],
      env: ["MOQ_PP_ISSUER_KEY"],
      toml: ["privacypass.issuer_key", "privacypass.issuer-key"],
    },
  }),
  privacypassSecret: text({
    default: undefined,
    doc: "At least 32 characters that bind challenges to this relay. Unset, they are fresh at each start, and challenges from before are refused. Relays may share one only if they share their spent tokens too.",
    pattern: /^.{32,}$/,
    allowed: "at least 32 characters",
    secret: true,
  }),
  privacypassWindowMs: duration({
    default: "1h",
    atLeast: "1m",
    atMost: "7d",
    doc: "A challenge is good in the window it was made in and in the next: for one to two of these.",
  }),
  privacypassBound: flag({
    default: true,
    doc: "Put a redemption context into challenges, so that tokens cannot be gathered in advance. Switch it off for issuers that hand them out in advance.",
  }),
  privacypassUnboundKeepMs: duration({
    default: "365d",
    atLeast: "1d",
    doc: "How long a token stays spent with `--no-privacypass-bound`; change the issuer's key more often than this.",
  }),
  privacypassSessionMaxMs: duration({
    default: "24h",
    atLeast: "1s",
    doc: "How long a session may last that a private token let in.",
  }),
  maxSpentTokens: integer({
    default: 1_000_000,
    atLeast: 1,
    doc: "Spent private tokens remembered at once. A full relay refuses further ones with 503 and forgets none.",
  }),
  privacypassServe: flag({
    default: false,
    doc: "Be an issuer too: answer its directory and token requests on the public listener. For development, or behind a gate.",
  }),
  privacypassServeKey: text({
    default: undefined,
    doc: "PEM file with the RSA private key of 2048 bits that our own issuer signs with. Unset, a fresh one at each start.",
    allowed: "a file name",
  }),
  privacypassServeGate: choice({
    default: "jwt",
    of: ["jwt", "secret", "open"],
    doc: "Who gets a token from our own issuer: `jwt`, whoever has a valid token of `auth-key`; `secret`, whoever knows `privacypass-serve-secret`; `open`, everybody, which is for development.",
  }),
  privacypassServeSecret: text({
    default: undefined,
    doc: "What a client of our own issuer sends as `Authorization: Bearer`.",
    pattern: /^[!-~]{16,}$/,
    allowed: "at least 16 visible characters",
    secret: true,
  }),
} satisfies OptionSet;
