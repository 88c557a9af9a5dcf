import { rendezvousStoreSuite } from "#store/contract/rendezvous-store-suite.ts";
import { openMemoryRendezvousStore } from "./rendezvous-store.ts";

rendezvousStoreSuite("memory", async (limits) => openMemoryRendezvousStore(limits));
