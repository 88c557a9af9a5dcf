import {
  createRendezvous,
  createSecret,
  formatCode,
  isPosternError,
  type Rendezvous,
  type Secret,
} from "../../../clients/client/src/index.ts";
import { byId, tell } from "../dom.ts";
import { drawQrCode } from "../qr-code.ts";
import type { Relay } from "../relay.ts";
import { WireView } from "../wire-view.ts";

const FRAGMENT = /^#([A-Za-z0-9_-]{43})$/;

/** A rendezvous between two panes, or between this page and the same page on another device. */
export function mountTryIt(relay: Relay): void {
  const shared = FRAGMENT.exec(location.hash)?.[1];
  const secret = shared ?? createSecret();
  const wire = new WireView(byId("try-wire"));
  mountSender(rendezvousAs("sender", relay, secret, wire), relay);
  const startReceiving = mountReceiver(rendezvousAs("receiver", relay, secret, wire));
  mountOtherDevice(formatCode({ relay: relay.url, secret }));
  addEventListener("hashchange", () => {
    if (FRAGMENT.test(location.hash)) location.reload();
  });
  if (shared !== undefined) {
    byId("shared").hidden = false;
    byId("other-device").hidden = true;
    // What the person came for stands first.
    const receiver = byId("receiver");
    receiver.parentElement?.prepend(receiver);
    byId("try-it").scrollIntoView();
    startReceiving();
  }
}

function rendezvousAs(who: string, relay: Relay, secret: Secret, wire: WireView): Rendezvous {
  return createRendezvous({ relay: relay.url, secret, fetch: wire.fetchAs(who) });
}

function mountSender(rendezvous: Rendezvous, { facts }: Relay): void {
  const [text, button, status] = [
    byId<HTMLTextAreaElement>("message"),
    byId<HTMLButtonElement>("send"),
    byId("sender-status"),
  ];
  let latest: AbortController | undefined;
  button.addEventListener("click", async () => {
    latest?.abort();
    const attempt = new AbortController();
    latest = attempt;
    const { signal } = attempt;
    const say: typeof tell = (...news) => {
      if (latest === attempt) tell(...news);
    };
    say(status, "Sealing and storing…", "busy");
    try {
      const sent = await rendezvous.send(text.value, { signal });
      say(status, "Stored at the relay. Waiting for the receiver to take it…", "busy");
      await sent.delivered({ signal });
      say(status, "Delivered: the receiver has it.", "good");
    } catch (error) {
      say(status, failureText(error, facts.rendezvous.maxBodyBytes), "bad");
    }
  });
}

/** Gives back what its button does. */
function mountReceiver(rendezvous: Rendezvous): () => void {
  const [button, status, output] = [
    byId<HTMLButtonElement>("receive"),
    byId("receiver-status"),
    byId("received"),
  ];
  let waiting: AbortController | undefined;
  const start = async () => {
    const attempt = new AbortController();
    waiting = attempt;
    button.textContent = "Stop waiting";
    output.hidden = true;
    tell(status, "Waiting for a message…", "busy");
    try {
      await rendezvous.take(
        (message) => {
          output.textContent = message.text();
          output.hidden = false;
        },
        { signal: attempt.signal },
      );
      tell(status, "Received, opened and acknowledged.", "good");
    } catch (error) {
      if (isPosternError(error) && error.code === "aborted") tell(status, "Stopped.");
      else tell(status, failureText(error), "bad");
    } finally {
      waiting = undefined;
      button.textContent = "Wait for a message";
    }
  };
  button.addEventListener("click", () => {
    if (waiting) waiting.abort();
    else void start();
  });
  return () => void start();
}

function mountOtherDevice(code: string): void {
  const link = byId<HTMLAnchorElement>("device-link");
  link.href = code;
  byId("device-code").textContent = `postern receive '${code}'`;
  byId("device-qr").append(drawQrCode(code, "QR code of the link for the other device"));
}

function failureText(error: unknown, maxBodyBytes?: number): string {
  if (!isPosternError(error)) throw error;
  const isTooLarge =
    error.code === "message_too_large" || (error.code === "relay_refused" && error.details.status === 413);
  if (isTooLarge && maxBodyBytes !== undefined) {
    return `Too long: this relay takes ${maxBodyBytes} bytes, of which sealing needs some.`;
  }
  if (error.code === "timed_out") return "Nobody came in time.";
  return error.message;
}
