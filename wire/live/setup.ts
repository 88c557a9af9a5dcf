import { concatBytes } from "#core/bytes.ts";
import { setupTokenParameter } from "../privacy-pass/codepoints.ts";
import { decodeCost } from "./announce.ts";
import { Decoder } from "./decoder.ts";
import { Encoder, encodeMessage } from "./encoder.ts";
import { LiveProtocolError, liveError } from "./error-code.ts";
import { isIetf, type LiveVersion, type SetupVersion, setupVersions } from "./version.ts";

/** First bytes of the SETUP that chooses between moq-lite 01 and 02: client, server. */
export const setupClient = 0x20;
export const setupServer = 0x21;
/** Types older clients open with; their length is a varint. */
export const setupClientOld: readonly number[] = [0x40, 0x00];

const parametersMax = 64;

export interface ClientSetup {
  /** The versions a client offers, in its order. */
  versions: number[];
  /** Count and parameters, which mean what the chosen version says. */
  parameters: Uint8Array;
  /** Values of the parameter that holds a token (`protocol/live-auth.md`). */
  tokenValues: Uint8Array[];
}

export function decodeClientSetup(body: Uint8Array): ClientSetup {
  const from = new Decoder(body);
  const count = from.varint();
  if (count > parametersMax) throw new LiveProtocolError("too many versions", liveError.tooManyParameters);
  const versions = Array.from({ length: count }, () => {
    const id = from.bigVarint();
    return id <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(id) : -1;
  });
  const parameters = from.rest();
  const tokenValues = tokenValuesIn(parameters, false) ?? tokenValuesIn(parameters, true) ?? [];
  return { versions, parameters, tokenValues };
}

/**
 * Clients disagree on whether the value of an even parameter has a length: undefined where these were written the other
 * way. No parameter but the token's says anything to us.
 */
function tokenValuesIn(parameters: Uint8Array, evenHasLength: boolean): Uint8Array[] | undefined {
  try {
    const from = new Decoder(parameters);
    const values: Uint8Array[] = [];
    for (let left = Math.min(from.varint(), parametersMax); left > 0; left--) {
      const id = from.bigVarint();
      if (id % 2n === 0n && !evenHasLength) from.bigVarint();
      else {
        const value = from.bytes();
        if (id === BigInt(setupTokenParameter)) values.push(value);
      }
    }
    from.end();
    return values;
  } catch {
    return undefined;
  }
}

/**
 * The first version of the client's list that we speak, one of moq-lite before one of moq-transport. `named`: the one
 * that the connection's handshake has settled on, which the list is to have.
 */
export function chooseSetupVersion(
  offered: readonly number[],
  named?: LiveVersion,
): { id: number; version: LiveVersion } | undefined {
  const known = offered
    .map((id) => setupVersions.find((entry) => entry.id === id))
    .filter((entry) => entry !== undefined && (named === undefined || entry.version === named));
  return known.find((entry) => !isIetf(entry!.version)) ?? known[0];
}

const withLength16 = (type: number, body: Uint8Array): Uint8Array =>
  concatBytes(new Encoder().varint(type).u16(body.length).finish(), body);

export const encodeServerSetup = (versionId: number): Uint8Array =>
  withLength16(setupServer, new Encoder().varint(versionId).varint(0).finish());

/** The same reply with the varint length that the older first types expect. */
export const encodeServerSetupOld = (type: number, versionId: number): Uint8Array =>
  concatBytes(
    new Encoder().varint(type === 0x40 ? 0x41 : 0x01).finish(),
    encodeMessage((body) => body.varint(versionId).varint(0)),
  );

/** Offers `versions` of those that SETUP chooses from; `writeParameters` adds count and parameters, none by default. */
export function encodeClientSetup(
  versions: readonly SetupVersion[],
  writeParameters: (body: Encoder) => void = (body) => void body.varint(0),
): Uint8Array {
  const body = new Encoder().varint(versions.length);
  for (const { id } of versions) body.varint(id);
  writeParameters(body);
  return withLength16(setupClient, body.finish());
}

/** The version the server chose of those it was offered; where it is draft 14, its options follow. */
export function decodeServerSetup<Version extends LiveVersion>(
  body: Uint8Array,
  versions: readonly SetupVersion<Version>[],
): Version {
  const from = new Decoder(body);
  const id = from.varint();
  const known = versions.find((entry) => entry.id === id);
  if (!known) throw new LiveProtocolError("the server chose a version we do not speak", liveError.version);
  return known.version;
}

/** SETUP of moq-lite 05 and 06: what each side says of itself, once. */
export interface Setup {
  /** What the client will do; absent means both. */
  role?: "publisher" | "subscriber";
  /** Path and query, where the transport has no URL. */
  path?: string;
  /** Answers Probe streams. */
  reports?: boolean;
  /** What a subscriber pays for a crossing of the link (06); absent means 1. */
  cost?: number;
  /** The sender among the hops of an announcement (06); absent or 0: it is never among them. */
  origin?: bigint;
}

const setupProbe = 1;
const setupPath = 2;
const setupRole = 3;
const setupCost = 4;
const setupOrigin = 5;

export function decodeSetup(body: Uint8Array): Setup {
  const from = new Decoder(body);
  const count = from.varint();
  if (count > parametersMax) throw new LiveProtocolError("too many parameters", liveError.tooManyParameters);
  const seen = new Set<bigint>();
  const setup: Setup = {};
  for (let i = 0; i < count; i++) {
    const id = from.bigVarint();
    if (seen.has(id)) throw new LiveProtocolError("a parameter is given twice");
    seen.add(id);
    const value = new Decoder(from.bytes());
    if (id === BigInt(setupPath)) setup.path = new TextDecoder().decode(value.rest());
    if (id === BigInt(setupRole)) setup.role = decodeRole(value.varint());
    if (id === BigInt(setupCost)) setup.cost = decodeCost(value);
    if (id === BigInt(setupOrigin)) setup.origin = value.bigVarint();
  }
  from.end();
  return setup;
}

function decodeRole(value: number): "publisher" | "subscriber" {
  if (value === 1) return "publisher";
  if (value === 2) return "subscriber";
  throw new LiveProtocolError("an unknown role");
}

export function encodeSetup({ role, path, reports = false, cost, origin }: Setup = {}): Uint8Array {
  const parameters: [id: number, value: Uint8Array][] = [];
  if (reports) parameters.push([setupProbe, new Encoder().varint(1).finish()]);
  if (path !== undefined) parameters.push([setupPath, new TextEncoder().encode(path)]);
  if (role !== undefined)
    parameters.push([setupRole, new Encoder().varint(role === "publisher" ? 1 : 2).finish()]);
  if (cost !== undefined) parameters.push([setupCost, new Encoder().varint(cost).finish()]);
  if (origin !== undefined) parameters.push([setupOrigin, new Encoder().bigVarint(origin).finish()]);
  return encodeMessage((body) => {
    body.varint(parameters.length);
    for (const [id, value] of parameters) body.varint(id).bytes(value);
  });
}
