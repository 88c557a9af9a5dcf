import assert from "node:assert/strict";

/** What an id can hold, as a client sees it. */
export type State =
  | { readonly kind: "absent" }
  | { readonly kind: "acked" }
  | { readonly kind: "unread"; readonly body: string; readonly contentType: string };

const absent: State = { kind: "absent" };

/**
 * What the relay promised, id by id: the state that its last answer confirmed, and the states it may have reached
 * since by a request whose answer never came. One request at a time is under way for an id.
 */
export class Ledger {
  readonly #confirmed = new Map<string, State>();
  readonly #possible = new Map<string, readonly State[]>();

  get ids(): string[] {
    return [...this.#confirmed.keys()];
  }

  confirmed(id: string): State {
    return this.#confirmed.get(id) ?? absent;
  }

  /** A request is about to be sent that may leave the id in one of `states`. */
  attempt(id: string, states: readonly State[]): void {
    this.#confirmed.set(id, this.confirmed(id));
    this.#possible.set(id, states);
  }

  /** The request was answered: from now on the relay owes this state. */
  confirm(id: string, state: State): void {
    this.#confirmed.set(id, state);
    this.#possible.delete(id);
  }

  /** Holds what a restarted relay has against what was promised; what was open is settled by it. */
  reconcile(id: string, found: State): void {
    const promised = this.confirmed(id);
    const allowed = [promised, ...(this.#possible.get(id) ?? [])];
    assert.ok(
      allowed.some((state) => isSame(state, found)),
      `promised ${told(promised)}, may be ${allowed.slice(1).map(told).join(" or ") || "nothing else"}, is ${told(found)}`,
    );
    this.confirm(id, found);
  }
}

function isSame(a: State, b: State): boolean {
  if (a.kind !== "unread" || b.kind !== "unread") return a.kind === b.kind;
  return a.body === b.body && a.contentType === b.contentType;
}

function told(state: State): string {
  return state.kind === "unread" ? `unread "${state.body}" (${state.contentType})` : state.kind;
}
