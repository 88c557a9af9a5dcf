import assert from "node:assert/strict";
import { type Answer, Connection, ConnectionLost, encodeRequest } from "#tests/conformance/raw-http.ts";
import type { Dice } from "#tests/support/dice.ts";
import type { Ledger, State } from "./ledger.ts";

const acked: State = { kind: "acked" };

/** Who carries the requests of one lane, and where they end up. */
export interface LaneSetup {
  readonly relay: { readonly host: string; readonly port: number };
  readonly ledger: Ledger;
  readonly random: Dice;
  /** Ids that no other lane touches; the lane adds to them. */
  readonly ids: string[];
  newId(): string;
  /** Called for every answer that promises something. */
  onAnswer(): void;
}

/** Sends one random request after the other until the relay dies under it. */
export async function loadUntilDeath(setup: LaneSetup): Promise<void> {
  try {
    using lane = new Lane(setup, await Connection.open(setup.relay), await Connection.open(setup.relay));
    for (;;) await lane.step();
  } catch (error) {
    if (!isDeath(error)) throw error;
  }
}

function isDeath(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code;
  return error instanceof ConnectionLost || code === "ECONNREFUSED" || code === "ECONNRESET";
}

class Lane implements Disposable {
  readonly #setup: LaneSetup;
  readonly #connection: Connection;
  /** The far end of a link: producer and consumer cannot share a connection. */
  readonly #peer: Connection;

  constructor(setup: LaneSetup, connection: Connection, peer: Connection) {
    this.#setup = setup;
    this.#connection = connection;
    this.#peer = peer;
  }

  [Symbol.dispose](): void {
    this.#connection[Symbol.dispose]();
    this.#peer[Symbol.dispose]();
  }

  async step(): Promise<void> {
    const { random, ids } = this.#setup;
    const old = ids.length > 0 ? ids[random.below(ids.length)] : undefined;
    const choice = random.below(10);
    if (old === undefined || choice < 4) {
      const id = this.#setup.newId();
      ids.push(id);
      return choice === 0 ? this.#handOver(id) : this.#store(id);
    }
    if (choice < 6) return this.#store(old);
    if (choice < 9) return this.#ack(old);
    return this.#read(old);
  }

  async #store(id: string): Promise<void> {
    const { ledger, onAnswer } = this.#setup;
    const message = this.#newMessage();
    ledger.attempt(id, [message]);
    assert.equal((await this.#exchange("POST", `/inbox/${id}`, message)).status, 200);
    ledger.confirm(id, message);
    onAnswer();
  }

  async #ack(id: string): Promise<void> {
    const { ledger, onAnswer } = this.#setup;
    const before = ledger.confirmed(id);
    if (before.kind !== "absent") ledger.attempt(id, [acked]);
    const { status } = await this.#exchange("DELETE", `/inbox/${id}`);
    assert.equal(status, before.kind === "absent" ? 404 : 200);
    if (before.kind !== "absent") ledger.confirm(id, acked);
    onAnswer();
  }

  async #read(id: string): Promise<void> {
    const state = this.#setup.ledger.confirmed(id);
    if (state.kind !== "unread") return;
    const answer = await this.#exchange("GET", `/inbox/${id}`);
    assert.equal(answer.text, state.body);
  }

  /** A link: the producer's 200 says that the consumer has the message, and that nobody else will get it. */
  async #handOver(id: string): Promise<void> {
    const { ledger, onAnswer } = this.#setup;
    const message = this.#newMessage();
    ledger.attempt(id, [message, acked]);
    this.#peer.send(encodeRequest("GET", `/link/${id}`));
    const [told, read] = await Promise.all([
      this.#exchange("POST", `/link/${id}`, message),
      this.#peer.next("GET"),
    ]);
    assert.equal(told.status, 200);
    assert.equal(read.text, message.body);
    ledger.confirm(id, acked);
    onAnswer();
  }

  #exchange(method: string, target: string, message?: State & { kind: "unread" }): Promise<Answer> {
    const parts = message && { body: message.body, headers: { "content-type": message.contentType } };
    this.#connection.send(encodeRequest(method, target, parts));
    return this.#connection.next(method);
  }

  #newMessage(): State & { kind: "unread" } {
    const { random } = this.#setup;
    const body = `${random.below(2 ** 32)}${"m".repeat(random.below(1500))}`;
    return { kind: "unread", body, contentType: `text/x-${random.below(1000)}; q=1` };
  }
}
