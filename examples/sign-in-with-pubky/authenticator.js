import { Keypair, parseAuthRequest } from "@postern/pubky";

const request = parseAuthRequest(process.argv[2]);
console.log("Asked for:", request.capabilities, "by way of", request.relayHost);

const keypair = Keypair.random();
const delivery = await request.approve({ keypair });
console.log(`Approved as ${keypair.publicKey}; waiting for the page.`);
await delivery.delivered();
console.log("The page has it.");
