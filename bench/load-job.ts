/** What the benchmark asks of the load generator, and what it answers; both travel as JSON between the processes. */
export type LoadJob = FillJob | RunJob | ParkJob | WakeJob | ReleaseJob;

/** Stores one message under each id of the pool. */
export interface FillJob {
  readonly kind: "fill";
  readonly port: number;
  readonly pool: number;
}

/** Closed-loop load: every connection sends its next request when the last is answered. */
export interface RunJob {
  readonly kind: "store" | "get" | "round";
  readonly port: number;
  readonly pool: number;
  readonly connections: number;
  readonly warmupMs: number;
  readonly measureMs: number;
}

/** Opens `polls` connections and sends a read that must wait on each. */
export interface ParkJob {
  readonly kind: "park";
  readonly port: number;
  readonly polls: number;
}

/** Wakes parked reads one after the other, and parks each again. */
export interface WakeJob {
  readonly kind: "wake";
  readonly port: number;
  readonly wakes: number;
}

/** Hangs up all parked reads. */
export interface ReleaseJob {
  readonly kind: "release";
}

export interface RunResult {
  /** Operations completed in the measured time; a round of three requests is one. */
  readonly operations: number;
  readonly seconds: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Processor time of the generator itself, in seconds. */
  readonly generatorCpuSeconds: number;
}

/** From the sending of the POST to the arrival of its message at the parked read. */
export interface WakeResult {
  readonly p50Ms: number;
  readonly p99Ms: number;
}
