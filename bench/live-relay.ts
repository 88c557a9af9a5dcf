import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { systemClock, systemEntropy } from "#core/clock.ts";
import { openDevelopmentCertificate } from "#edge/tls/development-certificate.ts";
import { defaultLiveWebSocketOptions, LiveWebSocket } from "#edge/websocket/live-websocket.ts";
import { listenMoq } from "#edge/webtransport/moq-listener.ts";
import { listenQuiche } from "#edge/webtransport/quiche-listener.ts";
import type { Grant } from "#modes/live/grant.ts";
import { defaultLiveLimits } from "#modes/live/limits.ts";
import { Relay } from "#modes/live/relay.ts";
import type { LiveAcceptor } from "#wire/live/acceptor.ts";

// The relay under test of bench/live.ts, in a process of its own: tells its port. WebTransport is by way of the library
// that it is called with, if any.

const library = process.argv[2];

const clock = systemClock();
const relay = new Relay(clock, systemEntropy, defaultLiveLimits);
const everything: Grant = { root: "", put: [""], get: [""], cluster: false, expiresAt: undefined };
const acceptor: LiveAcceptor<Grant> = {
  admit: async () => everything,
  accept: (transport, grant) => void relay.accept(transport, grant),
};
const failed = (error: unknown): never => {
  throw error;
};
const webSocket = new LiveWebSocket<Grant>(acceptor, defaultLiveWebSocketOptions, clock, failed);
const server = createServer();
webSocket.attach(server);
server.listen(0, "127.0.0.1", async () => {
  const { port } = server.address() as AddressInfo;
  if (library !== undefined) await listenWebTransport(port);
  process.send!(port);
});
process.on("disconnect", () => process.exit(0));

async function listenWebTransport(port: number): Promise<void> {
  const hosts = ["localhost"];
  const development = await openDevelopmentCertificate({ hosts, clock, entropy: systemEntropy, failed });
  const certificate = development.pairs[0]!;
  const options = { ...defaultLiveWebSocketOptions, hosts: ["127.0.0.1"] as const, port, certificate };
  await (library === "moq" ? listenMoq : listenQuiche)(acceptor, options, clock, failed);
}
