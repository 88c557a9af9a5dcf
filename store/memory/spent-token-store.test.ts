import { spentTokenStoreSuite } from "#store/contract/spent-token-store-suite.ts";
import { openMemorySpentTokenStore } from "./spent-token-store.ts";

spentTokenStoreSuite("memory", async (limits) => openMemorySpentTokenStore(limits));
