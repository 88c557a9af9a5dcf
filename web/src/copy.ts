/**
 * Makes `button` copy what `source` holds at the time. Says so on the button, whose name is read out again.
 */
export function copyOnClick(
  button: HTMLButtonElement,
  source: HTMLElement,
  announce: (text: string) => void,
): void {
  button.addEventListener("click", async () => {
    const copied = await copy(source);
    announce(copied ? "Copied." : "Selected: copy it with your keyboard.");
    button.dataset.copied = String(copied);
    button.addEventListener("blur", () => delete button.dataset.copied, { once: true });
  });
}

/** Without TLS a browser has no clipboard for scripts; the text is then selected at least. */
async function copy(source: HTMLElement): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(source.textContent ?? "");
    return true;
  } catch {
    getSelection()?.selectAllChildren(source);
    return false;
  }
}
