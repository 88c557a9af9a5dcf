import type { Clock } from "#core/clock.ts";
import { decodeDirectory, directoryPath } from "#wire/privacy-pass/issuance.ts";
import type { IssuerKey } from "#wire/privacy-pass/issuer-key.ts";

/** A directory is small: more is not read. */
export const directoryMaxLength = 65_536;

/** The keys of an issuer elsewhere, from its directory. */
export class IssuerDirectory {
  readonly #url: string;
  readonly #fetchText: (url: string, maxLength: number) => Promise<string>;
  readonly #clock: Clock;
  #keys: readonly IssuerKey[] = [];

  /** `fetchText` gives the body of a successful answer of at most `maxLength` bytes, and rejects for anything else. */
  constructor(
    issuerName: string,
    fetchText: (url: string, maxLength: number) => Promise<string>,
    clock: Clock,
  ) {
    this.#url = `https://${issuerName}${directoryPath}`;
    this.#fetchText = fetchText;
    this.#clock = clock;
  }

  /** Empty until the first `refresh` that succeeded. */
  get keys(): readonly IssuerKey[] {
    return this.#keys;
  }

  /** Reads the directory again. Rejects, keeping the keys there are, when that fails or finds none. */
  async refresh(): Promise<void> {
    const text = await this.#fetchText(this.#url, directoryMaxLength);
    const keys = decodeDirectory(text, this.#clock.now() / 1000);
    if (!keys || keys.length === 0) throw new Error("the issuer's directory has no key of type 2");
    // A key that stays is the same object, so that what was made of it is found again.
    this.#keys = keys.map(
      (key) => this.#keys.find(({ id }) => id.every((byte, at) => byte === key.id[at])) ?? key,
    );
  }
}
