/** The element of the document with this id. Throws when the markup and the script disagree. */
export function byId<E extends HTMLElement = HTMLElement>(id: string): E {
  const found = document.getElementById(id);
  if (!found) throw new Error(`The page has no #${id}.`);
  return found as E;
}

/** A new element with text or children. */
export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  className = "",
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  if (className !== "") element.className = className;
  element.append(...children);
  return element;
}

/** Shows a sentence about how things stand; `kind` colours it. */
export function tell(
  status: HTMLElement,
  text: string,
  kind: "plain" | "busy" | "good" | "bad" = "plain",
): void {
  status.textContent = text;
  status.dataset.kind = kind;
}
