import assert from "node:assert/strict";
import { test } from "node:test";
import { isPubkyError, PUBKY_ERRORS, PubkyError } from "./errors.ts";

test("every code has a sentence of its own, for people", () => {
  const sentences = Object.values(PUBKY_ERRORS);
  for (const sentence of sentences) assert.match(sentence, /^[A-Z].*\.$/);
  for (const code of Object.keys(PUBKY_ERRORS)) assert.match(code, /^[a-z0-9_]+$/);
});

test("an error tells its code, its details and its cause", () => {
  const cause = new TypeError("why");
  const error = new PubkyError("token_too_old", { details: { ageMs: 5 }, cause });
  assert.ok(error instanceof Error);
  assert.equal(error.message, PUBKY_ERRORS.token_too_old);
  assert.deepEqual(
    [error.name, error.code, error.details, error.cause],
    ["PubkyError", "token_too_old", { ageMs: 5 }, cause],
  );
  assert.ok(!("cause" in new PubkyError("token_too_old")));
});

test("ours are told from others', and from each other", () => {
  const error: unknown = new PubkyError("flow_expired");
  assert.ok(isPubkyError(error) && isPubkyError(error, "flow_expired"));
  assert.ok(!isPubkyError(error, "flow_cancelled"));
  assert.ok(!isPubkyError(new Error("x")) && !isPubkyError(undefined));
});
