import type {
  AuthFlow,
  GrantApproval,
  ReplayStore,
  SavedAuthFlow,
  Signer,
  TokenApproval,
} from "../src/index.ts";
import {
  createVerifier,
  type Keypair,
  type PubkyErrorCode,
  parseAuthRequest,
  parseLink,
  resumeAuthFlow,
  startAuthFlow,
} from "../src/index.ts";

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const holds = <_ extends true>() => {};

// Checked by the compiler (`npm run typecheck`); nothing here is called.
const base = { capabilities: "/pub/a/:rw", relay: "https://relay.example/inbox" };

export function whatIsAskedForIsWhatIsGot(keypair: Keypair, saved: SavedAuthFlow) {
  const token = startAuthFlow(base);
  holds<Same<typeof token, AuthFlow<TokenApproval>>>();
  const grant = startAuthFlow({ ...base, grant: { clientId: "a.example", clientKeypair: keypair } });
  holds<Same<typeof grant, AuthFlow<GrantApproval>>>();
  const fromLink = resumeAuthFlow("pubkyauth://signin");
  holds<Same<typeof fromLink, AuthFlow<TokenApproval>>>();
  void resumeAuthFlow(saved).result.then((approval) => {
    // @ts-expect-error A resumed flow may be either, until `kind` tells.
    approval.tokenBytes;
    if (approval.kind === "token") approval.tokenBytes.subarray(0);
    else approval.clientKeypair.sign(new Uint8Array(0));
  });
  startAuthFlow({
    ...base,
    exchange: ({ tokenBytes }) => void fetch("/session", { method: "POST", body: tokenBytes }),
  });
  startAuthFlow({ ...base, grant: { clientId: "a" }, exchange: ({ grantJws }) => void grantJws.length });
}

export function whatIsMissingIsTold(keypair: Keypair) {
  // @ts-expect-error No relay: there is no default, every app names its own.
  startAuthFlow({ capabilities: "" });
  // @ts-expect-error No capabilities: asking for none is said by "".
  startAuthFlow({ relay: "https://relay.example/inbox" });
  // @ts-expect-error A grant needs a client id.
  startAuthFlow({ ...base, grant: {} });
  // @ts-expect-error A token flow's exchange gets no grant.
  startAuthFlow({ ...base, exchange: ({ grantJws }) => void grantJws });
  // @ts-expect-error Somebody has to sign.
  void parseAuthRequest("").approve({});
  void parseAuthRequest("").approve({ keypair });
  // @ts-expect-error Not one of our codes.
  const code: PubkyErrorCode = "nonsense";
  return code;
}

export function linksAreTold(url: string) {
  const link = parseLink(url);
  // @ts-expect-error Not every link has a relay.
  link.relay;
  if (link.kind === "signup_grant") return [link.relay, link.homeserver, link.clientId, link.clientKey];
  if (link.kind === "secret_export") {
    // @ts-expect-error This one has none.
    return link.relay;
  }
  return link.kind === "direct_signup" ? link.signupToken : link.capabilities;
}

export function othersCanTakeParts(sign: (message: Uint8Array) => Promise<Uint8Array>, keypair: Keypair) {
  const elsewhere: Signer = { publicKey: keypair.publicKey, sign };
  const shared: ReplayStore = { insertIfAbsent: async (id, expiresAt) => id.length > expiresAt };
  createVerifier({
    replayStore: shared,
    capabilities: ["/pub/a/:rw"],
    windowMs: 45_000,
    clock: { now: () => 0 },
  });
  return parseAuthRequest("").approve({ keypair: elsewhere });
}
