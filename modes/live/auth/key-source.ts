import { KeyError, kidPattern, parseKeyFile, type VerifyingKey, verifyingKey } from "./key.ts";

/** Finds the key for a token by the `kid` of its header; undefined when there is none. */
export type KeySource = (kid: string | undefined) => Promise<VerifyingKey | undefined>;

/** One key for every token: the signature decides, whatever `kid` says, as with the original's key file. */
export function oneKey(key: VerifyingKey): KeySource {
  return async () => key;
}

/**
 * A key for each `kid`, in `{kid}.jwk` of a folder. `read` gives a file's text, undefined where there is none, and rejects
 * where nobody can tell.
 *
 * A file is read again for each token, so a key is revoked for new sessions by removing its file. The name is checked
 * first: a token reaches no file outside the folder.
 */
export function keyFolder(read: (fileName: string) => Promise<string | undefined>): KeySource {
  return async (kid) => {
    if (kid === undefined || kid.length > 128 || !kidPattern.test(kid)) return undefined;
    return keyOf(await read(`${kid}.jwk`));
  };
}

/** One key for every token, read each time. */
export function oneKeyAt(read: () => Promise<string | undefined>): KeySource {
  return async () => keyOf(await read());
}

async function keyOf(text: string | undefined): Promise<VerifyingKey | undefined> {
  if (text === undefined) return undefined;
  try {
    return await verifyingKey(parseKeyFile(text));
  } catch (error) {
    // A broken file lets nobody in; `postern token inspect --key FILE` tells its owner why.
    if (error instanceof KeyError) return undefined;
    throw error;
  }
}

/** The first source that has a key. */
export function firstOf(...sources: readonly KeySource[]): KeySource {
  return async (kid) => {
    for (const source of sources) {
      const key = await source(kid);
      if (key) return key;
    }
    return undefined;
  };
}
