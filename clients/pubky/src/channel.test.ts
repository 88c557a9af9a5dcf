import assert from "node:assert/strict";
import { test } from "node:test";
import { throwsCode } from "../tests/assert-code.ts";
import { filled } from "../tests/sdk-vectors.ts";
import { decodeBase64url } from "./base64url.ts";
import { channelBinding, channelId, channelUrl, parseRelay } from "./channel.ts";

const VECTORS = [
  ["AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8", "5SjpV5gDffQQVD2fMeOW7N1FjXGxV9YBQ5i64y-1bGU"],
  ["e3t7e3t7e3t7e3t7e3t7e3t7e3t7e3t7e3t7e3t7e3s", "dK7XLzv7S96Y55m2d-Dm_ESCgKFP0hh_RL_Z0GDtu68"],
  ["kqnceEMgrNQM_xi06oQXjA3cJHX_RQmw1BY6JE1bse8", "Bd7wcIdR29_ncsAJbRkIpWDg_pEvZzULycHdh5Fz4QY"],
  ["mAa8kGmlrynGzQLteDVW6-WeUGnfvHTpEmbNerbWfPI", "SpNw6ZS9voxlAr3SGrcf40jfI06lEMmw7tPOr5QOu5Q"],
] as const;

test("the channel is the BLAKE3 of the secret", () => {
  for (const [secret, id] of VECTORS) assert.equal(channelId(decodeBase64url(secret)), id);
  throwsCode(() => channelId(filled(1, 16)), "secret_malformed");
});

test("the channel is put after the relay's path, before its query", () => {
  const secret = decodeBase64url(VECTORS[0][0]);
  const id = VECTORS[0][1];
  for (const [relay, url] of [
    ["http://r/link", `http://r/link/${id}`],
    ["http://r/link/", `http://r/link/${id}`],
    ["http://r/link//", `http://r/link//${id}`],
    ["http://r", `http://r/${id}`],
    ["https://r:8443/a/inbox?key=v&x#part", `https://r:8443/a/inbox/${id}?key=v&x`],
  ]) {
    assert.equal(channelUrl(relay!, secret).href, url);
  }
});

test("only a path that ends in /link is a link relay", () => {
  const bindings = ["link", "link/", "a/link?x=/inbox", "inbox", "", "link/a", "mylink", "link//"].map(
    (path) => channelBinding(`http://r/${path}`),
  );
  assert.deepEqual(bindings, ["link", "link", "link", "inbox", "inbox", "inbox", "inbox", "inbox"]);
});

test("a relay is an http or https URL", () => {
  assert.equal(parseRelay("https://r/inbox")?.href, "https://r/inbox");
  for (const text of ["", "r/inbox", "ftp://r/inbox", "javascript:alert(1)", "http://"]) {
    assert.equal(parseRelay(text), undefined);
  }
});
