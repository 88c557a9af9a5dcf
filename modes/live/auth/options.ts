import { type OptionSet, text } from "#core/options.ts";

/** Who may use the live mode. The other names are the original relay's. */
export const liveAuthOptions = {
  authKey: text({
    default: undefined,
    doc: "File with the key that live tokens are signed with (`postern token key new` makes one). The public half is enough: the relay only verifies.",
    allowed: "a file name",
    also: { env: ["MOQ_AUTH_KEY"], toml: ["auth.key"] },
  }),
  authKeyDir: text({
    default: undefined,
    doc: "Folder with one key file for each key id, `{kid}.jwk`. Read again for each token: a file that is removed lets nobody in any more.",
    allowed: "a folder name",
    also: { env: ["MOQ_AUTH_KEY_DIR"], toml: ["auth.key-dir", "auth.key_dir"] },
  }),
  authPublic: text({
    default: undefined,
    doc: 'Prefix of broadcasts that anybody may publish and watch without a token. The empty text ("") is everything; unset, the default, is nothing.',
    allowed: "a prefix of broadcast names",
    also: { env: ["MOQ_AUTH_PUBLIC"], toml: ["auth.public"] },
  }),
  authPublicSubscribe: text({
    default: undefined,
    doc: "As `auth-public`, for watching alone.",
    allowed: "a prefix of broadcast names",
    also: { env: ["MOQ_AUTH_PUBLIC_SUBSCRIBE"], toml: ["auth.public-subscribe", "auth.public_subscribe"] },
  }),
  authPublicPublish: text({
    default: undefined,
    doc: "As `auth-public`, for publishing alone.",
    allowed: "a prefix of broadcast names",
    also: { env: ["MOQ_AUTH_PUBLIC_PUBLISH"], toml: ["auth.public-publish", "auth.public_publish"] },
  }),
} satisfies OptionSet;
