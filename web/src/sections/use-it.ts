import { copyOnClick } from "../copy.ts";
import { byId } from "../dom.ts";
import type { Relay } from "../relay.ts";

/** The snippets are in the markup, to be read without a script; here they get this relay's URL and copy buttons. */
export function mountUseIt(relay: Relay): void {
  for (const placeholder of document.querySelectorAll<HTMLElement>("[data-relay]")) {
    placeholder.textContent = relay.url;
  }
  const announce = (text: string) => {
    byId("copied").textContent = text;
  };
  for (const button of document.querySelectorAll<HTMLButtonElement>("[data-copies]")) {
    copyOnClick(button, byId(button.dataset.copies!), announce);
    button.hidden = false;
  }
}
