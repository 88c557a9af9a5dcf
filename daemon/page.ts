import { publicAccess } from "#modes/live/auth/public-access.ts";
import type { RelayFacts } from "#web/relay-facts.ts";
import { pageRoutes } from "#web/routes.ts";
import type { Routes } from "#wire/http/router.ts";
import { buildInfo } from "./build-info.ts";
import type { Config } from "./options.ts";

/** The page at `/` and what belongs to it; nothing when it is switched off. */
export function pageParts(config: Config, isLive: boolean): readonly Routes[] {
  return config.page ? [pageRoutes(relayFacts(config, isLive))] : [];
}

/** What anybody could find out by asking the relay; no secret, path or address is among it. */
function relayFacts(config: Config, isLive: boolean): RelayFacts {
  const open = publicAccess(config);
  return {
    name: "postern",
    version: buildInfo().version,
    modes: { rendezvous: true, mailbox: config.mailbox, live: isLive, ohttp: config.ohttp },
    requestsPerMinute: config.rateLimit === 0 ? null : config.rateLimit,
    rendezvous: {
      maxBodyBytes: config.maxBodySizeBytes,
      keptMs: config.inboxCacheTtlMs,
      inboxWaitMs: config.inboxTimeoutMs,
      linkWaitMs: config.linkTimeoutMs,
      durable: config.persistDb !== "memory",
    },
    mailbox: config.mailbox
      ? { maxMessageBytes: config.maxMessageSizeBytes, keptMs: config.blobTtlMs, waitMs: config.fetchWaitMs }
      : null,
    live: isLive
      ? {
          publicPublish: open?.put ?? [],
          publicWatch: open?.get ?? [],
          webTransport:
            config.webtransport !== "off" && config.tlsCert.length + config.tlsGenerate.length > 0,
        }
      : null,
  };
}
