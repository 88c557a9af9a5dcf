import type { Clock, Entropy } from "#core/clock.ts";
import { deriveGatewayKey, type GatewayKey } from "#wire/ohttp/suite.ts";

/** Where the seeds of keys outlive the process. Removing one must leave nothing of it behind. */
export interface SeedStore {
  windows(): readonly number[];
  get(window: number): Uint8Array | undefined;
  put(window: number, seed: Uint8Array): Promise<void>;
  remove(window: number): Promise<void>;
}

/** Seeds that end with the process. */
export function memorySeeds(): SeedStore {
  const seeds = new Map<number, Uint8Array>();
  return {
    windows: () => [...seeds.keys()],
    get: (window) => seeds.get(window),
    put: async (window, seed) => void seeds.set(window, seed),
    remove: async (window) => void seeds.delete(window),
  };
}

export interface KeyRingSetup {
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly windowMs: number;
  readonly seeds: SeedStore;
  /** The seed of a key with id 0 that clients may still hold from another relay. */
  readonly carriedOver?: Uint8Array | undefined;
}

/**
 * The gateway's keys: one for each window of time, its id the window's number modulo 256. The one of the current window
 * is handed out; those of the windows before and after open requests too. Older seeds are destroyed, so that nobody
 * opens afterwards what was sealed to them.
 */
export class KeyRing {
  readonly #setup: KeyRingSetup;
  #window: number | undefined;
  #keys: Promise<ReadonlyMap<number, GatewayKey>> | undefined;

  constructor(setup: KeyRingSetup) {
    this.#setup = setup;
  }

  /** A key opens requests for a whole window after the last moment at which it was handed out. */
  get freshSeconds(): number {
    return Math.floor(this.#setup.windowMs / 1000);
  }

  /** The key to hand out. */
  async current(): Promise<GatewayKey> {
    const keys = await this.#refreshed();
    return keys.get(this.#window!)!;
  }

  /** The keys with this id: none where it is not held any more, two where a window's is that of the one carried over. */
  async byId(id: number): Promise<readonly GatewayKey[]> {
    return (await this.all()).filter((key) => key.id === id);
  }

  /** Every key that is held. */
  async all(): Promise<readonly GatewayKey[]> {
    return [...(await this.#refreshed()).values()];
  }

  #refreshed(): Promise<ReadonlyMap<number, GatewayKey>> {
    const window = Math.floor(this.#setup.clock.now() / this.#setup.windowMs);
    if (this.#keys && window === this.#window) return this.#keys;
    this.#window = window;
    const keys = this.#load(window);
    this.#keys = keys;
    // A failure is told to whoever asked, and the next one tries again.
    keys.catch(() => {
      if (this.#keys === keys) this.#keys = undefined;
    });
    return keys;
  }

  async #load(window: number): Promise<ReadonlyMap<number, GatewayKey>> {
    const { seeds, entropy, carriedOver } = this.#setup;
    for (const old of seeds.windows()) if (Math.abs(old - window) > 1) await seeds.remove(old);
    const keys = new Map<number, GatewayKey>();
    for (const each of [window, window + 1, window - 1]) {
      let seed = seeds.get(each);
      if (!seed && each >= window) {
        seed = entropy.bytes(32);
        await seeds.put(each, seed);
      }
      if (seed) keys.set(each, await deriveGatewayKey(each % 256, seed));
    }
    if (carriedOver) keys.set(-1, await deriveGatewayKey(0, carriedOver));
    return keys;
  }
}
