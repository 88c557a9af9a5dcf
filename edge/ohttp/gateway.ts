import type { Entropy } from "#core/clock.ts";
import { keyIdOf, type Opened, openRequest } from "#wire/ohttp/gateway.ts";
import { encodeKeyConfig, encodeKeyConfigList, keyConfigOf } from "#wire/ohttp/key-config.ts";
import { type GatewayKey, OhttpError } from "#wire/ohttp/suite.ts";
import type { KeyRing } from "./key-ring.ts";
import type { SpentCapsules } from "./spent-capsules.ts";

/** Problem type of RFC 9458, 5.3: the client should fetch the key configuration again. */
export const keyProblemType = "https://iana.org/assignments/http-problem-types#ohttp-key";

export type OpenOutcome =
  | {
      readonly kind: "opened";
      readonly request: Uint8Array;
      seal(response: Uint8Array): Uint8Array<ArrayBuffer>;
    }
  /** Sealed to a key that is not held any more, or never was. */
  | { readonly kind: "unknown-key" }
  /** Nothing more is said, be it damaged, foreign or a repetition. */
  | { readonly kind: "refused" }
  | { readonly kind: "busy" }
  /** It could not be remembered, and what could be served twice is not served. */
  | { readonly kind: "unavailable" };

export interface GatewaySetup {
  readonly keys: KeyRing;
  readonly entropy: Entropy;
  readonly ohttpMaxOpening: number;
  readonly report: (error: unknown) => void;
  readonly spent: SpentCapsules;
}

/** Opens capsules, each once: what both gateways of ours are made of. */
export class Gateway {
  readonly #setup: GatewaySetup;
  #opening = 0;
  #opened = 0;
  #refused = 0;

  constructor(setup: GatewaySetup) {
    this.#setup = setup;
  }

  get opened(): number {
    return this.#opened;
  }

  get refused(): number {
    return this.#refused;
  }

  /** How long whoever was handed a key can use it at least. */
  get keyFreshSeconds(): number {
    return this.#setup.keys.freshSeconds;
  }

  /** The configuration to hand out, bare. */
  async keyConfig(): Promise<Uint8Array<ArrayBuffer>> {
    return encodeKeyConfig(keyConfigOf(await this.#setup.keys.current()));
  }

  /** The same in a list (RFC 9458, 3.2). */
  async keyConfigList(): Promise<Uint8Array<ArrayBuffer>> {
    return encodeKeyConfigList([keyConfigOf(await this.#setup.keys.current())]);
  }

  /** The public keys of all that is held, to know ourselves by. */
  async publicKeys(): Promise<readonly Uint8Array[]> {
    return (await this.#setup.keys.all()).map(({ publicKey }) => publicKey);
  }

  async open(capsule: Uint8Array): Promise<OpenOutcome> {
    const { keys, entropy, ohttpMaxOpening, spent, report } = this.#setup;
    const keyId = keyIdOf(capsule);
    if (keyId === undefined) return this.#refuse();
    const held = await keys.byId(keyId);
    if (held.length === 0) return { kind: "unknown-key" };
    if (this.#opening >= ohttpMaxOpening) return { kind: "busy" };
    this.#opening++;
    let opened: Opened | undefined;
    try {
      opened = await openWithAny(held, capsule);
    } finally {
      this.#opening--;
    }
    if (!opened) return this.#refuse();
    try {
      if (!spent.spend(opened.enc)) return this.#refuse();
    } catch (error) {
      report(error);
      return { kind: "unavailable" };
    }
    this.#opened++;
    const { request, sealResponse } = opened;
    return { kind: "opened", request, seal: (response) => sealResponse(response, entropy) };
  }

  #refuse(): OpenOutcome {
    this.#refused++;
    return { kind: "refused" };
  }
}

/** By the first key that opens it; undefined where none does. */
async function openWithAny(keys: readonly GatewayKey[], capsule: Uint8Array): Promise<Opened | undefined> {
  for (const key of keys) {
    try {
      return await openRequest(key, capsule);
    } catch (error) {
      if (!(error instanceof OhttpError)) throw error;
    }
  }
  return undefined;
}
