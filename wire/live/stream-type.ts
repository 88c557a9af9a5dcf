/** First bytes of a bidirectional stream. */
export const bidiType = {
  session: 0,
  announce: 1,
  subscribe: 2,
  fetch: 3,
  probe: 4,
  goaway: 5,
  track: 6,
} as const;

/** First bytes of a unidirectional stream. */
export const uniType = { group: 0, setup: 1 } as const;
