import type { Clock, Instant } from "#core/clock.ts";
import { RelayError } from "#core/errors.ts";
import { isHex64 } from "./hex64.ts";
import { type Members, optionalString, optionalUnsigned, ShapeError, stringMember } from "./members.ts";

const maxGates = 10_000;
const slotsPerGate = 2;
const maxBlobBytes = 65_536;
const maxTtlSeconds = 604_800;

interface Gate {
  readonly expiresAt: Instant;
  readonly slots: Map<string, string>;
}

/** Two people each leave a blob at a gate, and each gets the other's once both are there. In memory only. */
export class Escrow {
  readonly #clock: Clock;
  readonly #maxBytes: number;
  readonly #gates = new Map<string, Gate>();
  #bytes = 0;

  constructor(clock: Clock, maxBytes: number) {
    this.#clock = clock;
    this.#maxBytes = maxBytes;
  }

  /** Answers the OHTTP action `escrow`. Throws `ShapeError` or `bad_request`. */
  perform(members: Members): Record<string, unknown> {
    const action = stringMember(members, "escrow_action");
    const gateHash = stringMember(members, "gate_hash");
    if (action === "Count") {
      validate(gateHash, undefined, undefined, undefined);
      return this.#count(gateHash.toLowerCase());
    }
    const slotHash = stringMember(members, "slot_hash");
    if (action === "Get") {
      validate(gateHash, slotHash, undefined, undefined);
      return this.#get(gateHash.toLowerCase(), slotHash.toLowerCase());
    }
    if (action !== "Put") throw new ShapeError("`escrow_action` must be Put, Get or Count");
    const blob = optionalString(members, "blob");
    const ttlSeconds = optionalUnsigned(members, "ttl_seconds");
    if (blob === undefined || ttlSeconds === undefined)
      throw new ShapeError("`blob` and `ttl_seconds` are needed");
    validate(gateHash, slotHash, blob, ttlSeconds);
    return this.#put(gateHash.toLowerCase(), slotHash.toLowerCase(), blob, ttlSeconds);
  }

  sweep(): void {
    const now = this.#clock.now();
    for (const [hash, gate] of this.#gates) if (gate.expiresAt <= now) this.#drop(hash, gate);
  }

  #put(gateHash: string, slotHash: string, blob: string, ttlSeconds: number) {
    const gate = this.#gate(gateHash);
    if (gate?.slots.has(slotHash)) return { status: "AlreadyExists" };
    if (gate && gate.slots.size >= slotsPerGate) return { status: "GateFull" };
    if (!gate && this.#gates.size >= maxGates) this.sweep();
    const full = (!gate && this.#gates.size >= maxGates) || this.#bytes + blob.length > this.#maxBytes;
    if (full) return { status: "GateFull" };
    // The first to come sets the gate's time.
    const held = gate ?? {
      expiresAt: this.#clock.now() + ttlSeconds * 1000,
      slots: new Map<string, string>(),
    };
    this.#gates.set(gateHash, held);
    held.slots.set(slotHash, blob);
    this.#bytes += blob.length;
    return { status: "Stored" };
  }

  #get(gateHash: string, slotHash: string) {
    const slots = this.#gate(gateHash)?.slots;
    if (!slots?.has(slotHash)) return { status: "NotFound" };
    for (const [hash, blob] of slots) if (hash !== slotHash) return { status: "Blob", blob };
    return { status: "NotReady", count: slots.size };
  }

  #count(gateHash: string) {
    const gate = this.#gate(gateHash);
    return gate ? { status: "Count", count: gate.slots.size } : { status: "NotFound" };
  }

  #gate(hash: string): Gate | undefined {
    const gate = this.#gates.get(hash);
    if (!gate || gate.expiresAt > this.#clock.now()) return gate;
    this.#drop(hash, gate);
    return undefined;
  }

  #drop(hash: string, gate: Gate): void {
    this.#gates.delete(hash);
    for (const blob of gate.slots.values()) this.#bytes -= blob.length;
  }
}

function validate(
  gateHash: string,
  slotHash: string | undefined,
  blob: string | undefined,
  ttlSeconds: number | undefined,
): void {
  const wrong: string[] = [];
  if (!isHex64(gateHash)) wrong.push("gate_hash must be 64 hex characters");
  if (slotHash !== undefined && !isHex64(slotHash)) wrong.push("slot_hash must be 64 hex characters");
  const blobBytes = Math.floor(((blob?.length ?? 0) * 3) / 4);
  if (blobBytes > maxBlobBytes) wrong.push(`blob is ${blobBytes} bytes, max is ${maxBlobBytes}`);
  if (ttlSeconds !== undefined && ttlSeconds > maxTtlSeconds)
    wrong.push(`ttl_seconds is ${ttlSeconds}, max is ${maxTtlSeconds}`);
  if (wrong.length > 0) throw new RelayError("bad_request", { text: wrong.join("; ") });
}
