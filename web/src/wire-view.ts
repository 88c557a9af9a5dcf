import { make } from "./dom.ts";

const ROWS_MAX = 12;
/** Of an id, so many characters are shown: the id is as good as a key to the channel. */
const ID_SHOWN = 6;

/** A list of requests as they happen: who, method, shortened path, status, time. */
export class WireView {
  readonly #list: HTMLElement;

  constructor(list: HTMLElement) {
    this.#list = list;
  }

  clear(): void {
    this.#list.replaceChildren();
  }

  /** A `fetch` whose requests are shown as those of `who`. */
  fetchAs(who: string): (input: string | URL | Request, init?: RequestInit) => Promise<Response> {
    return async (input, init) => {
      const url = new URL(input instanceof Request ? input.url : input, location.href);
      const outcome = make("span", "wire-outcome", "waiting");
      const row = make(
        "li",
        "wire-row",
        make("span", "wire-who", who),
        make("span", "wire-method", init?.method ?? "GET"),
        make("span", "wire-path", shortened(url.pathname)),
        outcome,
      );
      row.dataset.state = "waiting";
      this.#list.append(row);
      while (this.#list.childElementCount > ROWS_MAX) this.#list.firstElementChild?.remove();
      const begin = performance.now();
      const settle = (text: string, state: string) => {
        outcome.textContent = `${text} · ${spanOf(performance.now() - begin)}`;
        row.dataset.state = state;
      };
      try {
        const response = await fetch(input, init);
        settle(String(response.status), response.ok ? "good" : response.status === 408 ? "idle" : "bad");
        return response;
      } catch (error) {
        const isAborted = init?.signal?.aborted ?? false;
        settle(isAborted ? "stopped" : "no answer", isAborted ? "idle" : "bad");
        throw error;
      }
    };
  }
}

const shortened = (path: string) =>
  path.replace(/\/(inbox|link)\/([^/]+)/, (_, route, id: string) =>
    id.length > ID_SHOWN ? `/${route}/${id.slice(0, ID_SHOWN)}…` : `/${route}/${id}`,
  );

const spanOf = (ms: number) => (ms < 9_950 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`);
