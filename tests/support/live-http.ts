import type { AccessPolicy } from "#modes/live/auth/authorize.ts";
import { Live } from "#modes/live/live.ts";
import { liveOptions } from "#modes/live/options.ts";
import { liveRoutes } from "#modes/live/routes.ts";
import { type SimClock, simClock, simEntropy } from "./sim-clock.ts";

type Options = Live["options"];

/** Live and its HTTP face in process, on a clock that moves when told to. */
export function liveOnSimClock(policy: Partial<AccessPolicy> = {}, options: Partial<Options> = {}) {
  const clock: SimClock = simClock();
  const defaults = Object.fromEntries(Object.entries(liveOptions).map(([key, spec]) => [key, spec.default]));
  const live = new Live({
    clock,
    entropy: simEntropy(3),
    options: { ...(defaults as Options), ...options },
    policy: { keys: undefined, public: { root: "", put: [""], get: [""] }, ...policy },
    domains: [],
    certificateHashes: async () => [],
  });
  const routes = liveRoutes(live);
  const ask = async (path: string, init: RequestInit = {}): Promise<Response> => {
    const match = routes(new Request(`http://relay.example${path}`, init));
    if (!match) throw new Error(`${path} is nobody's`);
    return match.respond();
  };
  return { live, clock, ask };
}

/** Server-sent events of an answer, one by one; comments are events with the name `:`. */
export async function* eventsOf(answer: Response): AsyncGenerator<[event: string, data: unknown]> {
  let text = "";
  const decoder = new TextDecoder();
  for await (const chunk of answer.body!) {
    text += decoder.decode(chunk, { stream: true });
    for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
      const [first = "", second = ""] = text.slice(0, end).split("\n");
      text = text.slice(end + 2);
      if (first.startsWith(":")) yield [":", undefined];
      else yield [first.replace("event: ", ""), JSON.parse(second.replace("data: ", ""))];
    }
  }
}
