/**
 * The app's side of a request as data: what may happen in which state, what comes next and what is to be done.
 * No time, no network, no secrets; `app-flow.ts` carries the effects out. `docs/pubky-app-flow.md` shows the
 * same table, and a test holds the two together.
 */

export const FLOW_STATES = [
  /** Created. */
  "idle",
  /** A request waits at the relay for the approval. */
  "asking",
  /** Waiting before asking again. */
  "pausing",
  /** A message came; it is being opened and checked. */
  "opening",
  /** The approval is good; the caller's `exchange` runs. */
  "exchanging",
  /** The caller has the approval; the relay is being told. */
  "acknowledging",
  /** Waiting before telling the relay again. */
  "ackPausing",
  /** The caller has the approval and nothing is left to do. */
  "done",
  /** There will be no approval. */
  "failed",
] as const;
export type FlowState = (typeof FLOW_STATES)[number];

export const FLOW_EVENTS = [
  "start",
  /** The relay handed a message over. */
  "message",
  /** The relay had nothing after a full wait. */
  "nothing",
  /** The relay had nothing and did not wait: an empty answer at once. */
  "nothingEarly",
  /** No answer, or one that is not for us: network loss, restart, 503, 429, 404 … */
  "trouble",
  /** The pause is over. */
  "timer",
  /** The device is back: network up, page visible again. */
  "wake",
  /** The message is a good approval. */
  "opened",
  /** The message does not open or verify: a stranger's. */
  "junk",
  /** The message is an approval by the person, but one we must not take. */
  "refused",
  "exchanged",
  "exchangeFailed",
  "acknowledged",
  /** Telling the relay failed too often; the message will expire there by itself. */
  "ackGivenUp",
  "deadline",
  "cancel",
] as const;
export type FlowEvent = (typeof FLOW_EVENTS)[number];

export const FLOW_EFFECTS = [
  /** Drop what is under way: the request, the timer. */
  "release",
  "ask",
  "pause",
  /** The relay is in order: the next pause is short again. */
  "resetPause",
  "open",
  "exchange",
  /** Hand the approval to the caller. */
  "deliver",
  "acknowledge",
  /** Tell the caller why there is no approval. */
  "fail",
] as const;
export type FlowEffect = (typeof FLOW_EFFECTS)[number];

export interface FlowTransition {
  readonly next: FlowState;
  /** In this order. */
  readonly effects: readonly FlowEffect[];
}

const to = (next: FlowState, ...effects: FlowEffect[]): FlowTransition => ({ next, effects });

/** What is not here changes nothing: an answer that comes too late, a second cancel. */
export const FLOW_TRANSITIONS: Readonly<Record<FlowState, { readonly [E in FlowEvent]?: FlowTransition }>> = {
  idle: {
    start: to("asking", "ask"),
    deadline: to("failed", "fail"),
    cancel: to("failed", "fail"),
  },
  asking: {
    message: to("opening", "open"),
    nothing: to("asking", "resetPause", "ask"),
    nothingEarly: to("pausing", "pause"),
    trouble: to("pausing", "pause"),
    wake: to("asking", "release", "ask"),
    deadline: to("failed", "release", "fail"),
    cancel: to("failed", "release", "fail"),
  },
  pausing: {
    timer: to("asking", "ask"),
    wake: to("asking", "release", "ask"),
    deadline: to("failed", "release", "fail"),
    cancel: to("failed", "release", "fail"),
  },
  opening: {
    opened: to("exchanging", "exchange"),
    junk: to("pausing", "pause"),
    refused: to("failed", "fail"),
    deadline: to("failed", "fail"),
    cancel: to("failed", "fail"),
  },
  exchanging: {
    exchanged: to("acknowledging", "deliver", "acknowledge"),
    exchangeFailed: to("failed", "fail"),
    // No deadline: the person has approved in time, and the exchange is the caller's to bound.
    cancel: to("failed", "release", "fail"),
  },
  acknowledging: {
    acknowledged: to("done"),
    trouble: to("ackPausing", "pause"),
    ackGivenUp: to("done"),
    cancel: to("done", "release"),
  },
  ackPausing: {
    timer: to("acknowledging", "acknowledge"),
    wake: to("acknowledging", "release", "acknowledge"),
    cancel: to("done", "release"),
  },
  done: {},
  failed: {},
};

/** The rule: what follows `event` in `state`. */
export function flowTransition(state: FlowState, event: FlowEvent): FlowTransition {
  return FLOW_TRANSITIONS[state][event] ?? { next: state, effects: [] };
}
