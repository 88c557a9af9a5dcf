import { mailboxStoreSuite } from "#store/contract/mailbox-store-suite.ts";
import { openMemoryMailboxStore } from "./mailbox-store.ts";

mailboxStoreSuite("memory", async (limits) => openMemoryMailboxStore(limits));
