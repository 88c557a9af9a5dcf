import { covers, type Grant } from "./grant.ts";
import type { Origin } from "./origin.ts";
import { joinPath, normalizePath } from "./path.ts";
import type { Track } from "./track.ts";

/** The full name of a broadcast that a session asks for; `undefined` if its grant does not let it. */
export function readablePath(grant: Grant, broadcast: string): string | undefined {
  const relative = normalizePath(broadcast);
  if (relative === undefined || !covers(grant.get, relative)) return undefined;
  return normalizePath(joinPath(grant.root, relative));
}

/** The track, if the grant allows it and somebody announces its broadcast. `heldOnly`: and somebody wants it already. */
export function trackFor(
  { grant, origin }: { grant: Grant; origin: Origin },
  broadcast: string,
  name: string,
  heldOnly = false,
): Track | undefined {
  const path = readablePath(grant, broadcast);
  if (path === undefined) return undefined;
  return heldOnly ? origin.find(path)?.tracks.get(name) : origin.track(path, name);
}
