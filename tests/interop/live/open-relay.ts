import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { systemClock, systemEntropy } from "#core/clock.ts";
import { defaultLiveWebSocketOptions, LiveWebSocket } from "#edge/websocket/live-websocket.ts";
import type { Grant } from "#modes/live/grant.ts";
import { defaultLiveLimits, type LiveLimits } from "#modes/live/limits.ts";
import { normalizePath } from "#modes/live/path.ts";
import { Relay } from "#modes/live/relay.ts";
import { namesWithDrafts } from "#wire/live/version.ts";

/** A relay on a port of its own, open to everybody and to every version. */
export async function openRelay(limits: Partial<LiveLimits> = {}) {
  const clock = systemClock();
  const relay = new Relay(clock, systemEntropy, { ...defaultLiveLimits, ...limits });
  const webSocket = new LiveWebSocket<Grant>(
    {
      names: namesWithDrafts,
      admit: async ({ path }) => ({
        root: normalizePath(path) ?? "",
        put: [""],
        get: [""],
        cluster: false,
        expiresAt: undefined,
      }),
      accept: (transport, grant) => void relay.accept(transport, grant),
    },
    defaultLiveWebSocketOptions,
    clock,
    (error) => {
      throw error;
    },
  );
  const server: Server = createServer((_request, response) => response.writeHead(404).end());
  webSocket.attach(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    relay,
    server,
    port,
    url: (path = "/") => new URL(`http://127.0.0.1:${port}${path}`),
    async [Symbol.asyncDispose]() {
      relay.close(0, "the test is over");
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}
