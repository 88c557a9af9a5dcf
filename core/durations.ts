/** How long things took, sorted into buckets as they happen: plain numbers, because it runs for every request. */
export class Durations {
  /** Upper bounds in seconds, rising. */
  readonly bounds: readonly number[];
  /** How many were within each bound and above the one before; the last is for what took longer. */
  readonly counts: number[];
  sum = 0;

  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.counts = Array<number>(bounds.length + 1).fill(0);
  }

  observe(seconds: number): void {
    const { bounds, counts } = this;
    let bucket = 0;
    while (bucket < bounds.length && seconds > bounds[bucket]!) bucket++;
    counts[bucket]!++;
    this.sum += seconds;
  }
}
