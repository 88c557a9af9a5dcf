import type { Cancel } from "../../../core/clock.ts";

/** Calls `wake` whenever waiting any longer makes no sense, until cancelled. */
export type WakeSource = (wake: () => void) => Cancel;

/**
 * The browser's signs of life: the network is back, the page is visible again, it came out of the back-forward
 * cache. A request that was under way before may be dead without anybody having said so. Elsewhere: never.
 */
export const pageWake: WakeSource = (wake) => {
  const page = globalThis as Partial<Pick<Window, "addEventListener" | "removeEventListener" | "document">>;
  if (!page.addEventListener || !page.document) return () => {};
  const { document } = page;
  const onVisibility = () => {
    if (document.visibilityState === "visible") wake();
  };
  page.addEventListener("online", wake);
  page.addEventListener("pageshow", wake);
  document.addEventListener("visibilitychange", onVisibility);
  return () => {
    page.removeEventListener?.("online", wake);
    page.removeEventListener?.("pageshow", wake);
    document.removeEventListener("visibilitychange", onVisibility);
  };
};
