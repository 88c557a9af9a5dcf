import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { systemClock, systemEntropy } from "#core/clock.ts";
import { defaultLiveWebSocketOptions, LiveWebSocket } from "#edge/websocket/live-websocket.ts";
import type { Grant } from "#modes/live/grant.ts";
import { defaultLiveLimits } from "#modes/live/limits.ts";
import { Relay } from "#modes/live/relay.ts";

// The relay under test of bench/live.ts, in a process of its own: tells its port.

const clock = systemClock();
const relay = new Relay(clock, systemEntropy, defaultLiveLimits);
const everything: Grant = { root: "", put: [""], get: [""], cluster: false, expiresAt: undefined };
const webSocket = new LiveWebSocket<Grant>(
  { admit: async () => everything, accept: (transport, grant) => void relay.accept(transport, grant) },
  defaultLiveWebSocketOptions,
  clock,
  (error) => {
    throw error;
  },
);
const server = createServer();
webSocket.attach(server);
server.listen(0, "127.0.0.1", () => process.send!((server.address() as AddressInfo).port));
process.on("disconnect", () => process.exit(0));
