/** What relays tell each other (mailbox protocol, "Federation"). */
export type PeerMessage =
  | {
      readonly type: "PeerHandshake";
      readonly relay_id: string;
      readonly version: number;
      readonly listen_addr: string;
    }
  | ({
      readonly type: "PeerHandshakeAck";
      readonly relay_id: string;
      readonly version: number;
      readonly accepted: boolean;
    } & Capacity)
  | {
      readonly type: "OffloadBlob";
      readonly blob_id: string;
      readonly routing_id: string;
      /** As it is on the wire: padded by peers that pad. */
      readonly data: Uint8Array;
      readonly created_at_secs: number;
      /** SHA-256 of `data`, lower-case hexadecimal. */
      readonly integrity_hash: string;
      readonly hop_count: number;
    }
  | {
      readonly type: "OffloadAck";
      readonly blob_id: string;
      readonly accepted: boolean;
      readonly reason: string | null;
    }
  | {
      readonly type: "CapacityReport";
      readonly used_bytes: number;
      readonly max_bytes: number;
      readonly blob_count: number;
    }
  | { readonly type: "DrainNotice"; readonly drain_timeout_secs: number }
  | { readonly type: "DrainAck" };

export interface Capacity {
  readonly capacity_used_bytes: number;
  readonly capacity_max_bytes: number;
}

type Kind = "string" | "unsigned" | "boolean" | "bytes" | "string or null";

const members: { readonly [T in PeerMessage["type"]]: Readonly<Record<string, Kind>> } = {
  PeerHandshake: { relay_id: "string", version: "unsigned", listen_addr: "string" },
  PeerHandshakeAck: {
    relay_id: "string",
    version: "unsigned",
    accepted: "boolean",
    capacity_used_bytes: "unsigned",
    capacity_max_bytes: "unsigned",
  },
  OffloadBlob: {
    blob_id: "string",
    routing_id: "string",
    data: "bytes",
    created_at_secs: "unsigned",
    integrity_hash: "string",
    hop_count: "unsigned",
  },
  OffloadAck: { blob_id: "string", accepted: "boolean", reason: "string or null" },
  CapacityReport: { used_bytes: "unsigned", max_bytes: "unsigned", blob_count: "unsigned" },
  DrainNotice: { drain_timeout_secs: "unsigned" },
  DrainAck: {},
};

/** The JSON of a message in its envelope. Bytes are a list of numbers, as the original has them. */
export function encodeMessage(payload: PeerMessage, messageId: string, nowSeconds: number): string {
  const bytesAsNumbers = (_: string, value: unknown) =>
    value instanceof Uint8Array ? Array.from(value) : value;
  return JSON.stringify(
    { version: 1, message_id: messageId, timestamp: nowSeconds, payload },
    bytesAsNumbers,
  );
}

/** Undefined for what is no message, and for types that are not known: both are passed over. */
export function parseMessage(json: string): PeerMessage | undefined {
  let envelope: unknown;
  try {
    envelope = JSON.parse(json);
  } catch {
    return undefined;
  }
  const payload = (envelope as { payload?: unknown } | null)?.payload;
  if (typeof payload !== "object" || payload === null) return undefined;
  const given = payload as Record<string, unknown>;
  const type = given.type as PeerMessage["type"];
  if (typeof type !== "string" || !Object.hasOwn(members, type)) return undefined;
  const read: Record<string, unknown> = { type };
  for (const [name, kind] of Object.entries(members[type])) {
    const value = memberOf(given[name], kind);
    if (value === undefined) return undefined;
    read[name] = value;
  }
  return read as PeerMessage;
}

function memberOf(value: unknown, kind: Kind): unknown {
  switch (kind) {
    case "string":
      return typeof value === "string" ? value : undefined;
    case "string or null":
      return typeof value === "string" ? value : (value ?? null) === null ? null : undefined;
    case "boolean":
      return typeof value === "boolean" ? value : undefined;
    case "unsigned":
      return typeof value === "number" && Number.isSafeInteger(value) && value >= 0 ? value : undefined;
    case "bytes":
      return Array.isArray(value) && value.every(isByte) ? Uint8Array.from(value as number[]) : undefined;
  }
}

function isByte(value: unknown): boolean {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= 255;
}
