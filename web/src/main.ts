import { byId } from "./dom.ts";
import { askRelay } from "./relay.ts";
import { showLimits } from "./sections/limits.ts";
import { mountLive } from "./sections/live.ts";
import { mountSignIn } from "./sections/sign-in.ts";
import { mountTryIt } from "./sections/try-it.ts";
import { mountUseIt } from "./sections/use-it.ts";

try {
  const relay = await askRelay();
  for (const mount of [showLimits, mountTryIt, mountLive, mountSignIn, mountUseIt]) mount(relay);
  document.documentElement.dataset.ready = "";
} catch (error) {
  const notice = byId("notice");
  notice.textContent = "The relay did not answer. Reload the page to try again.";
  notice.hidden = false;
  throw error;
}
