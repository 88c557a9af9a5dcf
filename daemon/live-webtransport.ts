import type { Clock } from "#core/clock.ts";
import type { Certificates } from "#edge/tls/certificates.ts";
import { listenMoq } from "#edge/webtransport/moq-listener.ts";
import { listenQuiche } from "#edge/webtransport/quiche-listener.ts";
import {
  type WebTransportListener,
  type WebTransportOptions,
  WebTransportUnavailableError,
} from "#edge/webtransport/webtransport-listener.ts";
import type { LiveParts } from "./live.ts";
import { type Config, OptionError } from "./options.ts";
import type { Logger, Metrics } from "./telemetry.ts";

export interface WebTransportSurroundings {
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly report: (error: unknown) => void;
}

/**
 * Opens WebTransport beside the public listener, at the same port over UDP, as far as the options want it and a library
 * is there. It is closed with `opening`.
 */
export async function listenLiveWebTransport(
  parts: LiveParts,
  config: Config,
  at: { host: string; port: number },
  certificates: Certificates | undefined,
  { clock, log, metrics, report }: WebTransportSurroundings,
  opening: AsyncDisposableStack,
): Promise<void> {
  const { webtransport } = config;
  if (webtransport === "off" || (webtransport === "auto" && certificates === undefined)) return;
  if (certificates === undefined) {
    throw new OptionError("--webtransport: needs tls-cert and tls-key, or tls-generate.");
  }
  if (webtransport === "quiche") {
    log.warn(
      "WebTransport runs on an old QUIC library with known weaknesses. Keep it away from the open internet.",
    );
  }
  // For `localhost` browsers go to ::1 and, over QUIC, nowhere else.
  const hosts: WebTransportOptions["hosts"] = at.host === "127.0.0.1" ? ["127.0.0.1", "::1"] : [at.host];
  const certificate = certificates.pairs[0]!;
  const withoutHttp = { setupTimeoutMs: config.liveSetupTimeoutMs, heldMaxBytes: config.liveControlMaxBytes };
  const options = { hosts, port: at.port, certificate, withoutHttp, ...limitsOf(parts) };
  const listen = webtransport === "quiche" ? listenQuiche : listenMoq;
  let listener: WebTransportListener;
  try {
    listener = await listen(parts.live, options, clock, report);
  } catch (error) {
    if (!(error instanceof WebTransportUnavailableError)) throw error;
    if (webtransport !== "auto") throw new OptionError(`--webtransport: ${error.message}.`);
    // Who has a certificate made wants WebTransport.
    log[config.tlsGenerate.length > 0 ? "warn" : "info"](`no WebTransport: ${error.message}`);
    return;
  }
  parts.webTransport = listener;
  opening.defer(() => listener.close());
  opening.defer(certificates.onChange(() => listener.renew(certificates.pairs[0]!)));
  log.info({ port: listener.port }, "WebTransport");
  metrics.gauge("postern_live_webtransport_connections", "QUIC connections.", () => listener.connections());
}

function limitsOf({ limits }: LiveParts): Omit<WebTransportOptions, "hosts" | "port" | "certificate"> {
  const { connectionWindowBytes, streamWindowBytes, streamsMax, idleTimeoutMs, pingIntervalMs } = limits;
  return { connectionWindowBytes, streamWindowBytes, streamsMax, idleTimeoutMs, pingIntervalMs };
}
