import { make } from "../dom.ts";

/** Shows numbers by name, replacing those before. */
export function showNumbers(list: HTMLElement, numbers: readonly [name: string, value: string][]): void {
  list.hidden = false;
  list.replaceChildren(
    ...numbers.map(([name, value]) => make("div", "", make("dt", "", name), make("dd", "", value))),
  );
}

/** How often something happened, per second, since it was last asked. */
export class Rate {
  #count = 0;
  #since = performance.now();

  add(count: number): void {
    this.#count += count;
  }

  take(): number {
    const now = performance.now();
    const rate = (this.#count * 1_000) / Math.max(1, now - this.#since);
    this.#count = 0;
    this.#since = now;
    return rate;
  }
}

export const bitrateText = (bytesASecond: number): string =>
  bytesASecond < 125_000
    ? `${Math.round(bytesASecond / 125)} kbit/s`
    : `${(bytesASecond / 125_000).toFixed(1)} Mbit/s`;

export const connectionText = ({ transport, version }: { transport: string; version: number }): string =>
  `${transport === "webtransport" ? "WebTransport" : "WebSocket"}, moq-lite 0${version}`;
