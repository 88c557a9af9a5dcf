import assert from "node:assert/strict";
import { PubkyError, type PubkyErrorCode } from "../src/errors.ts";

/** That `action` stops with exactly this code, and answers the error. */
export function throwsCode(action: () => unknown, code: PubkyErrorCode): PubkyError {
  try {
    action();
  } catch (error) {
    return assertCode(error, code);
  }
  assert.fail(`expected ${code}, but nothing was thrown`);
}

export async function rejectsCode(promise: Promise<unknown>, code: PubkyErrorCode): Promise<PubkyError> {
  try {
    await promise;
  } catch (error) {
    return assertCode(error, code);
  }
  assert.fail(`expected ${code}, but nothing was thrown`);
}

function assertCode(error: unknown, code: PubkyErrorCode): PubkyError {
  if (!(error instanceof PubkyError)) throw error;
  assert.equal(error.code, code);
  return error;
}
