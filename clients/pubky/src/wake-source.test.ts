import assert from "node:assert/strict";
import { test } from "node:test";
import { pageWake } from "./wake-source.ts";

test("outside a page nothing ever wakes", () => {
  pageWake(() => assert.fail("woken"))();
});

test("a page wakes by network, by return, and by becoming visible, until it is cancelled", () => {
  const page = new EventTarget();
  const document = Object.assign(new EventTarget(), { visibilityState: "hidden" });
  const globals = {
    document,
    addEventListener: page.addEventListener.bind(page),
    removeEventListener: page.removeEventListener.bind(page),
  };
  Object.assign(globalThis, globals);
  try {
    let wakes = 0;
    const cancel = pageWake(() => wakes++);
    page.dispatchEvent(new Event("online"));
    page.dispatchEvent(new Event("pageshow"));
    assert.equal(wakes, 2);
    document.dispatchEvent(new Event("visibilitychange"));
    assert.equal(wakes, 2);
    document.visibilityState = "visible";
    document.dispatchEvent(new Event("visibilitychange"));
    assert.equal(wakes, 3);
    cancel();
    for (const type of ["online", "pageshow"]) page.dispatchEvent(new Event(type));
    document.dispatchEvent(new Event("visibilitychange"));
    assert.equal(wakes, 3);
  } finally {
    for (const name of Object.keys(globals)) Reflect.deleteProperty(globalThis, name);
  }
});
