import { RelayError } from "#core/errors.ts";
import type { SpentTokenLimits, SpentTokenStore } from "#store/contract/spent-token-store.ts";
import { ExpiryQueue } from "./expiry-queue.ts";

/** Keeps nonces in this process: a restart forgets them, so it must also change what tokens are accepted. */
export function openMemorySpentTokenStore({ maxSpentTokens }: SpentTokenLimits): SpentTokenStore {
  const spent = new Set<string>();
  const expiry = new ExpiryQueue();
  const sweep = (now: number) => {
    const before = spent.size;
    for (let next = expiry.peek(); next && next.at <= now; next = expiry.peek()) {
      expiry.pop();
      spent.delete(next.id);
    }
    return before - spent.size;
  };
  return {
    async spend(nonce, expiresAt, now) {
      sweep(now);
      const id = String.fromCharCode(...nonce);
      if (spent.has(id)) return false;
      if (spent.size >= maxSpentTokens) throw new RelayError("at_capacity", { retryAfterSeconds: 60 });
      spent.add(id);
      expiry.push({ at: expiresAt, id, version: 0 });
      return true;
    },
    sweep: async (now) => sweep(now),
    get size() {
      return spent.size;
    },
    async [Symbol.asyncDispose]() {},
  };
}
