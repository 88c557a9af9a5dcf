import { readFileSync } from "node:fs";

export type SdkOutcome<T> = { ok: T } | { error: string; message: string };

interface SdkLink {
  caps: string;
  relay: string;
  secret: string;
  hs?: string;
  st?: string | null;
}

export interface SdkVectors {
  keys: {
    valid: { seed: string; publicKey: string; z32: string; display: string }[];
    parse: { text: string; sdk: SdkOutcome<string> }[];
  };
  capabilities: { text: string; sdk: SdkOutcome<string> }[];
  merging: { text: string; merged: string }[];
  links: Record<"signin" | "signup", { url: string; sdk: SdkOutcome<SdkLink> }[]>;
  tokens: {
    seed: string;
    nonce: string;
    clientSecret: string;
    nowMs: number;
    made: { caps: string; body: string }[];
  };
  tokenOutcomes: { name: string; token: string; sdk: SdkOutcome<string> }[];
  recovery: {
    passphrase: string;
    files: { name: string; file: string; sdk: SdkOutcome<string> }[];
    wrongPassphrase: SdkOutcome<string>;
  };
}

/** What the published SDK makes and says; see `vectors/make-sdk-vectors.ts`. */
export const sdkVectors: SdkVectors = JSON.parse(
  readFileSync(new URL("../vectors/sdk-0.6.0.json", import.meta.url), "utf8"),
);

export const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
export const unhex = (text: string): Uint8Array<ArrayBuffer> =>
  Uint8Array.from(Buffer.from(text.replaceAll(/\s/g, ""), "hex"));
export const filled = (byte: number, length = 32): Uint8Array<ArrayBuffer> =>
  new Uint8Array(length).fill(byte);
/** 00 01 02 … 1f: the client secret of the vectors. */
export const counted: Uint8Array<ArrayBuffer> = Uint8Array.from({ length: 32 }, (_, at) => at);
