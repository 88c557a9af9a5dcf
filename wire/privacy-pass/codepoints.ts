/**
 * Numbers of Privacy Pass, and of its use in MoQ, where drafts still move them: a new draft changes this file
 * (draft-ietf-moq-privacy-pass-auth; RFC 9577; RFC 9578).
 */

/** Token type: Blind RSA with 2048 bits (RFC 9578, 6). The only one that anybody can verify with a public key. */
export const blindRsa2048 = 0x0002;

/** Parameter of SETUP that holds a token: moq-lite 01 and 02, and moq-transport's AUTHORIZATION TOKEN. */
export const setupTokenParameter = 0x03;

/** First byte of the value of `setupTokenParameter` as the original relay's clients send it: a bare token follows. */
export const bareTokenTag = 0x01;

/** Code of the close that carries a challenge: Unauthorized of moq-transport, as the original relay sends it. */
export const challengeCloseCode = 0x2;

/** What a scope of the newer drafts may name. */
export const action = {
  clientSetup: 0,
  serverSetup: 1,
  publishNamespace: 2,
  subscribeNamespace: 3,
  subscribe: 4,
  requestUpdate: 5,
  publish: 6,
  fetch: 7,
  trackStatus: 8,
} as const;

/** How a scope of the newer drafts compares names. */
export const matchType = { exact: 0, prefix: 1, suffix: 2, contains: 3 } as const;
