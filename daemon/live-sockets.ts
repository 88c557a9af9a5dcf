import { listenStreamSocket, type StreamSocketAddress } from "#edge/stream-socket/stream-socket-listener.ts";
import { hostAndPort, isLoopback } from "./listen-addresses.ts";
import type { LiveParts } from "./live.ts";
import type { WebTransportSurroundings } from "./live-webtransport.ts";
import { type Config, OptionError } from "./options.ts";

/** Opens the listeners without HTTP, TCP and Unix sockets, where they are asked for. Closed with `opening`. */
export async function listenLiveSockets(
  { live, limits }: Pick<LiveParts, "live" | "limits">,
  config: Config,
  { clock, log, metrics, report }: WebTransportSurroundings,
  opening: AsyncDisposableStack,
): Promise<void> {
  const addresses: StreamSocketAddress[] = [];
  if (config.serverTcpBind !== undefined) {
    const at = hostAndPort(config.serverTcpBind);
    if (!isLoopback(at.host)) {
      log.warn(
        "--server-tcp-bind is open to others: sessions and their tokens cross the network in the clear.",
      );
    }
    addresses.push(at);
  }
  if (config.serverUnixBind !== undefined) {
    addresses.push({ path: config.serverUnixBind, mode: Number.parseInt(config.serverUnixMode, 8) });
  }
  const options = {
    ...limits,
    setupTimeoutMs: config.liveSetupTimeoutMs,
    heldMaxBytes: config.liveControlMaxBytes,
    connectionsMax: config.liveSessionsMax,
  };
  for (const at of addresses) {
    const name = "path" in at ? "unix" : "tcp";
    const listener = await listenStreamSocket(live, at, options, clock, report).catch((error: Error) => {
      throw new OptionError(`--server-${name}-bind: ${error.message}.`);
    });
    opening.defer(() => listener.close());
    log.info({ transport: name, ...(listener.port > 0 ? { port: listener.port } : {}) }, "live listener");
    const help = `Connections open on the listener for live over ${name === "tcp" ? "TCP" : "a Unix socket"}.`;
    metrics.gauge(`postern_live_${name}_connections`, help, () => listener.connections());
  }
}
