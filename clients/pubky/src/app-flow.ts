import { clientBackoff, pauseMs } from "../../../core/backoff.ts";
import { type Cancel, type Clock, type Entropy, type Instant, systemEntropy } from "../../../core/clock.ts";
import { type FlowEffect, type FlowEvent, type FlowState, flowTransition } from "./app-flow-state.ts";
import {
  type Approval,
  type ApprovalExpectation,
  type GrantApproval,
  judgeMessage,
  type TokenApproval,
} from "./approval.ts";
import { decodeBase64url, encodeBase64url } from "./base64url.ts";
import type { Bytes } from "./bytes.ts";
import { type CapabilitiesInput, normalizeCapabilities, parseCapabilities } from "./capabilities.ts";
import { parseRelay } from "./channel.ts";
import { PubkyError } from "./errors.ts";
import { Keypair, PublicKey } from "./keys.ts";
import { type ChannelLink, formatLink, type GrantLink, isClientId, parseLink } from "./link.ts";
import { type Fetch, platformFetch, type RelayChannel, relayChannel, type Trouble } from "./relay-channel.ts";
import { pageWake, type WakeSource } from "./wake-source.ts";
import { wallClock } from "./wall-clock.ts";

/** How a flow runs; the same whether it starts or resumes. */
export interface AuthFlowOptions<A extends Approval = Approval> {
  /** How long the person has to approve, in milliseconds. Default: 300,000 (five minutes). */
  readonly deadlineMs?: number;
  /** How far a token's time may lie from this device's clock. Default: 180,000 (three minutes). */
  readonly windowMs?: number;
  /** Takes an approval that grants more than was asked. Default: false, it fails with `capabilities_extra`. */
  readonly allowExtraCapabilities?: boolean;
  /**
   * What must succeed before the relay may forget the approval, such as handing the token to your server. When
   * it rejects, the flow fails and the approval stays at the relay: a resumed flow finds it again.
   */
  readonly exchange?: (approval: A, signal: AbortSignal) => void | Promise<void>;
  /** Told of every change; see also `subscribe`. */
  readonly onStatus?: (status: AuthFlowStatus) => void;
  /** Aborting it is `cancel()`. */
  readonly signal?: AbortSignal;
  readonly clock?: Clock;
  readonly entropy?: Entropy;
  readonly fetch?: Fetch;
  /** Default: the page's `online`, `pageshow` and `visibilitychange`. */
  readonly wakeOn?: WakeSource;
}

interface StartOptions<A extends Approval> extends AuthFlowOptions<A> {
  /** What to ask for: `"/pub/my.app/:rw,/pub/other/file:r"` or a list. Empty: only who the person is. */
  readonly capabilities: CapabilitiesInput;
  /** The relay with its route: `https://relay.example/inbox` (resumable) or `…/link`. */
  readonly relay: string | URL;
  /** Asks for a new account at this homeserver first. */
  readonly signup?: { readonly homeserver: PublicKey | string; readonly signupToken?: string };
}

/** Asks for a token: a signature that shows who the person is and what is granted, once. */
export interface TokenFlowOptions extends StartOptions<TokenApproval> {
  readonly grant?: undefined;
}

/** Asks for a grant: a lasting permission that only the holder of the client key can use. */
export interface GrantFlowOptions extends StartOptions<GrantApproval> {
  readonly grant: {
    /** The app's name for itself, meant to be its domain. */
    readonly clientId: string;
    /** Default: a fresh one, found in the approval. */
    readonly clientKeypair?: Keypair;
  };
}

export interface AuthFlowStatus {
  readonly state: FlowState;
  /** When the flow gives up waiting. */
  readonly expiresAt: Instant;
  /** Messages on the channel that did not open or verify. More than none: somebody else knows the channel. */
  readonly ignoredMessages: number;
  /** The relay's last failure, while it lasts. Without a `status`, no answer came at all. */
  readonly trouble?: { readonly status?: number };
}

/** What `resumeAuthFlow` needs after a reload. It holds the request's secret: keep it as one (sessionStorage). */
export interface SavedAuthFlow {
  readonly v: 1;
  readonly link: string;
  readonly startedAt: Instant;
  /** The seed of the client key, for grants. */
  readonly clientKey?: string;
}

export interface AuthFlow<A extends Approval = Approval> {
  /** To show as a QR code and as a deep link. Whoever sees it can answer it; never log it. */
  readonly authorizationUrl: string;
  /**
   * The approval, once it is verified and `exchange` has succeeded.
   *
   * Rejects with PubkyError `flow_expired`, `flow_cancelled`, `flow_exchange_failed`, `capabilities_extra`,
   * `capabilities_invalid`, `token_too_old`, `token_from_future`, `grant_client_key`, `grant_client_id`,
   * `grant_expired`, `grant_from_future`.
   */
  readonly result: Promise<A>;
  /** Resolves when nothing is under way any more, the relay's acknowledgement included. Never rejects. */
  readonly settled: Promise<void>;
  readonly status: AuthFlowStatus;
  /** Tells `listener` the status now and at every change. */
  subscribe(listener: (status: AuthFlowStatus) => void): Cancel;
  cancel(): void;
  save(): SavedAuthFlow;
}

const DEADLINE_MS = 300_000;
/** An empty answer after less than this was no wait: asking again at once would be a busy loop. */
const HELD_MIN_MS = 1_000;
const ACK_ATTEMPTS_MAX = 5;
const IGNORED_REMEMBERED_MAX = 64;

/**
 * Starts to wait for an approval at once; show `authorizationUrl` meanwhile.
 *
 * @throws PubkyError `capabilities_invalid`, `link_parameter_invalid`, `key_malformed`
 */
export function startAuthFlow(options: TokenFlowOptions): AuthFlow<TokenApproval>;
export function startAuthFlow(options: GrantFlowOptions): AuthFlow<GrantApproval>;
export function startAuthFlow(options: TokenFlowOptions | GrantFlowOptions): AuthFlow {
  const { clock = wallClock, entropy = systemEntropy } = options;
  const clientKeypair = options.grant && (options.grant.clientKeypair ?? Keypair.random(entropy));
  const link = createLink(options, entropy.bytes(32), clientKeypair);
  return runAuthFlow(link, clientKeypair, clock.now(), options as AuthFlowOptions);
}

/**
 * Goes on with a request after a reload: from what `save()` gave, or, for tokens, from the link alone. Works on
 * inbox relays, as long as the message is stored there and the token's window lasts.
 *
 * @throws PubkyError `flow_state_malformed`, `flow_wrong_link`, `flow_client_key`, and those of `parseLink`
 */
export function resumeAuthFlow(
  link: string,
  options?: AuthFlowOptions<TokenApproval>,
): AuthFlow<TokenApproval>;
export function resumeAuthFlow(saved: SavedAuthFlow, options?: AuthFlowOptions): AuthFlow;
export function resumeAuthFlow(
  from: string | SavedAuthFlow,
  options: AuthFlowOptions<TokenApproval> | AuthFlowOptions = {},
): AuthFlow {
  const saved = typeof from === "string" ? undefined : checkSaved(from);
  const link = parseLink(saved ? saved.link : (from as string));
  if (!("relay" in link)) throw new PubkyError("flow_wrong_link");
  const clientKeypair = "clientKey" in link ? savedClientKeypair(link, saved) : undefined;
  const startedAt = saved?.startedAt ?? (options.clock ?? wallClock).now();
  return runAuthFlow(link, clientKeypair, startedAt, options as AuthFlowOptions);
}

function createLink(
  options: TokenFlowOptions | GrantFlowOptions,
  clientSecret: Bytes,
  clientKeypair: Keypair | undefined,
): ChannelLink {
  const relay = parseRelay(String(options.relay))?.href;
  if (relay === undefined) throw invalidOption("relay");
  const channel = {
    scheme: "pubkyauth",
    capabilities: normalizeCapabilities(parseCapabilities(options.capabilities)),
    droppedCapabilities: [],
    relay,
    clientSecret,
  } as const;
  const account = options.signup && {
    homeserver:
      typeof options.signup.homeserver === "string"
        ? PublicKey.parse(options.signup.homeserver)
        : options.signup.homeserver,
    ...(options.signup.signupToken !== undefined && { signupToken: options.signup.signupToken }),
  };
  if (!clientKeypair || !options.grant) {
    return account ? { kind: "signup", ...channel, ...account } : { kind: "signin", ...channel };
  }
  const { clientId } = options.grant;
  if (!isClientId(clientId)) throw invalidOption("cid");
  const client = { clientId, clientKey: clientKeypair.publicKey };
  return account
    ? { kind: "signup_grant", ...channel, ...account, ...client }
    : { kind: "signin_grant", ...channel, ...client };
}

const invalidOption = (parameter: string) =>
  new PubkyError("link_parameter_invalid", {
    message: `Invalid query parameter ${parameter}`,
    details: { parameter },
  });

function checkSaved(saved: SavedAuthFlow): SavedAuthFlow {
  const isSaved =
    typeof saved === "object" &&
    saved?.v === 1 &&
    typeof saved.link === "string" &&
    Number.isFinite(saved.startedAt) &&
    (saved.clientKey === undefined || typeof saved.clientKey === "string");
  if (!isSaved) throw new PubkyError("flow_state_malformed");
  return saved;
}

function savedClientKeypair(link: GrantLink, saved: SavedAuthFlow | undefined): Keypair {
  // A grant is of no use without the key it is bound to, and the link has only its public half.
  if (saved?.clientKey === undefined) throw new PubkyError("flow_wrong_link");
  let keypair: Keypair;
  try {
    keypair = Keypair.fromSecret(decodeBase64url(saved.clientKey));
  } catch {
    throw new PubkyError("flow_state_malformed");
  }
  if (!keypair.publicKey.equals(link.clientKey)) throw new PubkyError("flow_client_key");
  return keypair;
}

function runAuthFlow(
  link: ChannelLink,
  clientKeypair: Keypair | undefined,
  startedAt: Instant,
  options: AuthFlowOptions,
): AuthFlow {
  const { clock = wallClock, entropy = systemEntropy, fetch = platformFetch } = options;
  const channel = relayChannel({ relay: link.relay, clientSecret: link.clientSecret, fetch, clock });
  const run = new FlowRun(channel, expectationOf(link, clientKeypair, options), {
    clock,
    entropy,
    exchange: options.exchange,
    expiresAt: startedAt + (options.deadlineMs ?? DEADLINE_MS),
  });
  if (options.onStatus) run.subscribe(options.onStatus);
  run.start(options.wakeOn ?? pageWake, options.signal);

  return {
    authorizationUrl: formatLink(link),
    result: run.result,
    settled: run.settled,
    get status() {
      return run.status;
    },
    subscribe: (listener) => run.subscribe(listener),
    cancel: () => run.cancel(),
    save: () => ({
      v: 1,
      link: formatLink(link),
      startedAt,
      ...(clientKeypair && { clientKey: encodeBase64url(clientKeypair.secretBytes()) }),
    }),
  };
}

function expectationOf(
  link: ChannelLink,
  clientKeypair: Keypair | undefined,
  options: AuthFlowOptions,
): ApprovalExpectation {
  return {
    clientSecret: link.clientSecret,
    asked: link.capabilities,
    allowExtraCapabilities: options.allowExtraCapabilities ?? false,
    windowMs: options.windowMs,
    client: "clientId" in link && clientKeypair ? { clientId: link.clientId, clientKeypair } : undefined,
  };
}

interface FlowSettings {
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly exchange: AuthFlowOptions["exchange"];
  readonly expiresAt: Instant;
}

/** Carries the effects of `app-flow-state.ts` out and turns what happens into its events. */
class FlowRun {
  readonly result: Promise<Approval>;
  readonly settled: Promise<void>;

  readonly #channel: RelayChannel;
  readonly #expectation: ApprovalExpectation;
  readonly #settings: FlowSettings;
  readonly #listeners = new Set<(status: AuthFlowStatus) => void>();
  readonly #delivery = Promise.withResolvers<Approval>();
  readonly #end = Promise.withResolvers<void>();
  readonly #ignored = new Set<string>();

  #state: FlowState = "idle";
  /** What is under way: aborted by `release`, and what it still reports then is not heard. */
  #operation = new AbortController();
  /** To be undone at the end: deadline, wake source, the caller's signal. */
  readonly #held: Cancel[] = [];
  #pauses = 0;
  #ackAttempts = 0;
  #ignoredMessages = 0;
  #trouble: Trouble | undefined;
  #message: { body: Bytes; etag: string | undefined } | undefined;
  #approval: Approval | undefined;
  #failure: PubkyError | undefined;

  constructor(channel: RelayChannel, expectation: ApprovalExpectation, settings: FlowSettings) {
    this.#channel = channel;
    this.#expectation = expectation;
    this.#settings = settings;
    this.result = this.#delivery.promise;
    this.settled = this.#end.promise;
    // A caller who only watches the status must not crash the process with a rejection that nobody awaits.
    this.result.catch(() => {});
  }

  get status(): AuthFlowStatus {
    const status = this.#trouble?.status;
    return {
      state: this.#state,
      expiresAt: this.#settings.expiresAt,
      ignoredMessages: this.#ignoredMessages,
      ...(this.#trouble && { trouble: status === undefined ? {} : { status } }),
    };
  }

  subscribe(listener: (status: AuthFlowStatus) => void): Cancel {
    this.#listeners.add(listener);
    tell(listener, this.status);
    return () => void this.#listeners.delete(listener);
  }

  start(wakeOn: WakeSource, signal: AbortSignal | undefined): void {
    const { clock, expiresAt } = this.#settings;
    this.#held.push(clock.after(expiresAt - clock.now(), () => this.#expire()));
    this.#held.push(wakeOn(() => this.#wake()));
    if (signal) {
      const cancel = () => this.cancel(signal.reason);
      signal.addEventListener("abort", cancel, { once: true });
      this.#held.push(() => signal.removeEventListener("abort", cancel));
      if (signal.aborted) cancel();
    }
    // Without effect when the flow was cancelled before it began.
    if (expiresAt <= clock.now()) this.#expire();
    this.#dispatch("start");
  }

  cancel(cause?: unknown): void {
    this.#failure = new PubkyError("flow_cancelled", { cause });
    this.#dispatch("cancel");
  }

  #expire(): void {
    const status = this.#trouble?.status;
    this.#failure = new PubkyError("flow_expired", {
      details: { ignoredMessages: this.#ignoredMessages, ...(status !== undefined && { status }) },
    });
    this.#dispatch("deadline");
  }

  #wake(): void {
    // A link relay gives its message to whoever asks first: a request given up could be the one that got it.
    if (this.#state === "asking" && this.#channel.binding === "link") return;
    // A sleeping device fires its timers late.
    if (this.#settings.clock.now() >= this.#settings.expiresAt) this.#expire();
    this.#dispatch("wake");
  }

  #dispatch(event: FlowEvent): void {
    const { next, effects } = flowTransition(this.#state, event);
    const changes = next !== this.#state || effects.length > 0;
    if (!changes) return;
    this.#state = next;
    // First the effects: who hears of a state finds the result settled and the request on its way.
    for (const effect of effects) this.#carryOut(effect);
    if (next === "done" || next === "failed") this.#finish();
    for (const listener of this.#listeners) tell(listener, this.status);
  }

  #carryOut(effect: FlowEffect): void {
    switch (effect) {
      case "release":
        this.#operation.abort();
        return;
      case "ask":
        this.#begin((signal) => this.#ask(signal));
        return;
      case "pause":
        this.#pause();
        return;
      case "resetPause":
        this.#pauses = 0;
        this.#trouble = undefined;
        return;
      case "open":
        this.#begin(async () => this.#open());
        return;
      case "exchange":
        this.#begin((signal) => this.#exchange(signal));
        return;
      case "deliver":
        this.#pauses = 0;
        this.#delivery.resolve(this.#approval!);
        return;
      case "acknowledge":
        this.#begin((signal) => this.#acknowledge(signal));
        return;
      case "fail":
        this.#delivery.reject(this.#failure!);
        return;
    }
  }

  /** Runs `operation`; the event it ends in counts unless it was released meanwhile. */
  #begin(operation: (signal: AbortSignal) => Promise<FlowEvent>): void {
    const mine = new AbortController();
    this.#operation = mine;
    void operation(mine.signal).then((event) => {
      if (!mine.signal.aborted) this.#dispatch(event);
    });
  }

  async #ask(signal: AbortSignal): Promise<FlowEvent> {
    const { clock } = this.#settings;
    const askedAt = clock.now();
    const asked = await this.#channel.ask(signal);
    if (signal.aborted) return "trouble";
    this.#trouble = asked.kind === "trouble" ? asked : undefined;
    if (asked.kind === "message") this.#message = asked;
    if (asked.kind === "nothing") return clock.now() - askedAt >= HELD_MIN_MS ? "nothing" : "nothingEarly";
    return asked.kind;
  }

  #pause(): void {
    const { clock, entropy } = this.#settings;
    const mine = new AbortController();
    this.#operation = mine;
    this.#pauses += 1;
    const stop = clock.after(pauseMs(this.#pauses, clientBackoff, entropy, this.#trouble?.retryAfterMs), () =>
      this.#dispatch("timer"),
    );
    mine.signal.addEventListener("abort", stop, { once: true });
  }

  #open(): FlowEvent {
    const judgement = judgeMessage(this.#message!.body, this.#settings.clock.now(), this.#expectation);
    switch (judgement.verdict) {
      case "good":
        this.#approval = judgement.approval;
        return "opened";
      case "refused":
        this.#failure = judgement.error;
        return "refused";
      case "junk":
        this.#ignore(this.#message!.body);
        return "junk";
    }
  }

  /** Counts each stranger's message once, though an inbox shows it at every look until it is replaced. */
  #ignore(body: Bytes): void {
    const name = encodeBase64url(body.subarray(0, 40));
    if (this.#ignored.has(name)) return;
    if (this.#ignored.size >= IGNORED_REMEMBERED_MAX) this.#ignored.clear();
    this.#ignored.add(name);
    this.#ignoredMessages += 1;
  }

  async #exchange(signal: AbortSignal): Promise<FlowEvent> {
    try {
      await this.#settings.exchange?.(this.#approval!, signal);
      return "exchanged";
    } catch (cause) {
      if (!signal.aborted) this.#failure = new PubkyError("flow_exchange_failed", { cause });
      return "exchangeFailed";
    }
  }

  async #acknowledge(signal: AbortSignal): Promise<FlowEvent> {
    const answer = await this.#channel.acknowledge(this.#message?.etag, signal);
    if (signal.aborted) return "trouble";
    this.#trouble = answer.kind === "trouble" ? answer : undefined;
    if (answer.kind === "acknowledged") return "acknowledged";
    return ++this.#ackAttempts < ACK_ATTEMPTS_MAX ? "trouble" : "ackGivenUp";
  }

  #finish(): void {
    // Timers and requests first, so that nothing can be heard after the end.
    this.#operation.abort();
    for (const cancel of this.#held.splice(0)) cancel();
    this.#message = undefined;
    this.#end.resolve();
  }
}

function tell(listener: (status: AuthFlowStatus) => void, status: AuthFlowStatus): void {
  try {
    listener(status);
  } catch (error) {
    // As an event target does it: a listener's mistake is its own, and the flow goes on.
    queueMicrotask(() => {
      throw error;
    });
  }
}
