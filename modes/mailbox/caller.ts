/** Who asks and how, as far as the mode may know. */
export interface Caller {
  /** Key of the client's address; undefined where it may stand for many. Never stored, never logged. */
  readonly source: string | undefined;
  /** The request came through OHTTP: nobody knows from whom, and the answer has a size that hides its own. */
  readonly oblivious: boolean;
  /** How long a fetch may wait for something to arrive; 0 does not wait. */
  readonly waitMs: number;
  /** Aborts when the client goes away. */
  readonly signal: AbortSignal;
}

/** The bucket of a caller. Those whose address is not known share one, as all callers of the original do. */
export function bucketOfCaller(caller: Caller): string {
  return caller.oblivious ? "oblivious" : `source ${caller.source ?? ""}`;
}
