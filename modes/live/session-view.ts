import type { Instant } from "#core/clock.ts";
import type { TransportKind } from "#wire/live/acceptor.ts";
import { versionName } from "#wire/live/version.ts";
import type { Live } from "./live.ts";
import { hasPrefix, normalizePath } from "./path.ts";
import type { Session } from "./session.ts";

/** What an operator sees of a session: nothing of who is there or what it speaks of. */
export interface SessionView {
  readonly id: string;
  readonly direction: "inbound" | "outbound";
  readonly transport: TransportKind | undefined;
  /** Undefined while it is not agreed upon. */
  readonly protocol: string | undefined;
  readonly cluster: boolean;
  readonly tier: string;
  readonly opened_at: string;
  /** Undefined: it ends when it wants to. */
  readonly expires_at: string | undefined;
}

/** Which sessions are meant: those that all given members fit. */
export interface SessionFilter {
  readonly id?: string;
  /** The root of the session's names, or what it begins with. */
  readonly path?: string;
  /** The id of its token (`postern token inspect`), and of the key that this is signed with. */
  readonly token?: string;
  readonly kid?: string;
  readonly tier?: string;
  readonly transport?: string;
}

export const sessionFilters = ["id", "path", "token", "kid", "tier", "transport"] as const;

export function viewOf(session: Session, live: Live): SessionView {
  const { expiresAt, cluster, tier = "" } = session.grant;
  const time = (at: Instant) => new Date(at).toISOString();
  return {
    id: session.id,
    direction: session.transport.role === "client" ? "outbound" : "inbound",
    transport: live.transportOf(session.grant),
    protocol: session.knownVersion && versionName(session.knownVersion),
    cluster,
    tier,
    opened_at: time(session.openedAt),
    expires_at: expiresAt === undefined ? undefined : time(expiresAt),
  };
}

export function sessionsOf(live: Live, filter: SessionFilter): Session[] {
  const path = filter.path === undefined ? undefined : normalizePath(filter.path);
  return [...live.relay.sessions].filter((session) => {
    const { grant } = session;
    const needsToken = filter.token !== undefined || filter.kid !== undefined;
    const token = needsToken ? live.tokenOf(grant) : undefined;
    return (
      (filter.id === undefined || filter.id === session.id) &&
      (filter.path === undefined || (path !== undefined && hasPrefix(path, grant.root))) &&
      (filter.tier === undefined || filter.tier === (grant.tier ?? "")) &&
      (filter.transport === undefined || filter.transport === live.transportOf(grant)) &&
      (filter.token === undefined || filter.token === token?.id) &&
      (filter.kid === undefined || filter.kid === token?.kid)
    );
  });
}
