import { byId, tell } from "../dom.ts";
import { parseLiveFragment } from "../live/link.ts";
import type { Relay } from "../relay.ts";

/** Broadcast and watch. What it takes, the live client and all, is loaded when it is first used. */
export function mountLive(relay: Relay): void {
  const shared = parseLiveFragment(location.hash);
  if (shared !== undefined) byId("live").scrollIntoView();
  if (!relay.facts.modes.live) {
    byId("live-off").hidden = false;
    byId("live-panes").hidden = true;
    return;
  }
  const view = () => import("../live/live-view.ts").then(({ liveView }) => liveView(relay));
  for (const kind of ["pattern", "camera"] as const) {
    byId(`broadcast-${kind}`).addEventListener("click", () => {
      tell(byId("broadcast-status"), "Starting…", "busy");
      view().then((loaded) => loaded.broadcast(kind), notLoaded("broadcast-status"));
    });
  }
  byId("watch-start").addEventListener("click", () => {
    view().then((loaded) => loaded.watch(), notLoaded("watch-status"));
  });
  byId("broadcast-access").hidden = relay.facts.live!.publicPublish.length > 0;

  if (shared !== undefined) {
    byId("live-shared").hidden = false;
    byId("broadcaster").hidden = true;
    view().then((loaded) => loaded.open(shared), notLoaded("watch-status"));
  }
  addEventListener("hashchange", () => {
    if (parseLiveFragment(location.hash)) location.reload();
  });
}

const notLoaded = (status: string) => () =>
  tell(byId(status), "The rest of the page could not be loaded. Try again.", "bad");
