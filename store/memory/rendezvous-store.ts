import type { RendezvousLimits, RendezvousStore } from "#store/contract/rendezvous-store.ts";
import { RendezvousState } from "./rendezvous-state.ts";

/** Keeps everything in this process: as durable as the process is. */
export function openMemoryRendezvousStore(limits: RendezvousLimits): RendezvousStore {
  const state = new RendezvousState(limits);
  return {
    get: (id, now) => state.get(id, now),
    put: async (id, message, source, now) => state.put(id, message, source, now),
    ack: async (id, version, now) => state.ack(id, version, now),
    sweep: async (now) => state.sweep(now),
    usage: () => state.usage(),
    async [Symbol.asyncDispose]() {},
  };
}
