import {
  type AuthFlow,
  type AuthFlowStatus,
  type FlowState,
  isPubkyError,
  startAuthFlow,
  type TokenApproval,
} from "../../../clients/pubky/src/index.ts";
import { byId, make, tell } from "../dom.ts";
import { drawQrCode } from "../qr-code.ts";
import type { Relay } from "../relay.ts";
import { WireView } from "../wire-view.ts";
import { DemoAuthenticator } from "./demo-authenticator.ts";

const ASKED = "/pub/my-app.example/:rw";

/** The steps as a person follows them; each is current in some states of the flow. */
const STEPS: readonly (readonly FlowState[])[] = [
  ["idle", "asking", "pausing"],
  ["opening", "exchanging"],
  ["acknowledging", "ackPausing"],
  ["done"],
];
const SAYS = [
  "Waiting for an approval…",
  "An approval arrived. Checking its signature…",
  "Telling the relay that it was taken…",
  "Signed in.",
];

/** The app's side of a sign-in, with an authenticator beside it for who has none at hand. */
export function mountSignIn(relay: Relay): void {
  const [start, cancel, request, status, result] = [
    byId<HTMLButtonElement>("sign-in-start"),
    byId<HTMLButtonElement>("sign-in-cancel"),
    byId("sign-in-request"),
    byId("sign-in-status"),
    byId("sign-in-result"),
  ];
  const wire = new WireView(byId("sign-in-wire"));
  const authenticator = new DemoAuthenticator(wire.fetchAs("authenticator"));
  let flow: AuthFlow<TokenApproval> | undefined;

  start.addEventListener("click", () => {
    wire.clear();
    result.hidden = true;
    const begun = startAuthFlow({
      capabilities: ASKED,
      relay: `${relay.url}/inbox`,
      fetch: wire.fetchAs("app"),
    });
    flow = begun;
    showRequest(begun.authorizationUrl);
    authenticator.read(begun.authorizationUrl);
    start.hidden = true;
    request.hidden = false;
    byId("sign-in-play").hidden = false;
    cancel.hidden = false;
    cancel.focus();
    const stopCountdown = countDown(begun);
    begun.subscribe((now) => showStatus(status, now));
    begun.result
      .then(showResult, (error) => {
        if (!isPubkyError(error)) throw error;
        const isCancelled = error.code === "flow_cancelled";
        tell(status, isCancelled ? "Cancelled." : error.message, isCancelled ? "plain" : "bad");
        authenticator.withdraw();
      })
      .finally(() => {
        stopCountdown();
        // A code that nobody waits for any more must not be scanned.
        request.hidden = true;
        byId("sign-in-qr").replaceChildren();
        start.textContent = "Start again";
        start.hidden = false;
        if (document.activeElement === cancel) start.focus();
        cancel.hidden = true;
      });
  });
  cancel.addEventListener("click", () => flow?.cancel());

  function showResult(approval: TokenApproval): void {
    byId("result-key").textContent = approval.publicKey.toString();
    byId("result-capabilities").textContent = approval.capabilities.join(", ") || "only who you are";
    byId("result-signed").textContent = new Date(approval.issuedAt).toLocaleTimeString();
    result.hidden = false;
  }
}

function showRequest(url: string): void {
  byId<HTMLAnchorElement>("sign-in-link").href = url;
  byId("sign-in-url").textContent = url;
  byId("sign-in-qr").replaceChildren(drawQrCode(url, "QR code of the sign-in request"));
}

function showStatus(status: HTMLElement, { state, trouble, ignoredMessages }: AuthFlowStatus): void {
  const current = STEPS.findIndex((states) => states.includes(state));
  [...byId("sign-in-steps").children].forEach((step, at) => {
    const isDone = current > at || state === "done";
    (step as HTMLElement).dataset.state = isDone ? "done" : current === at ? "current" : "ahead";
    if (current === at) step.setAttribute("aria-current", "step");
    else step.removeAttribute("aria-current");
  });
  if (current < 0) return;
  if (trouble) tell(status, "The relay does not answer as it should. Trying again…", "bad");
  else tell(status, SAYS[current]!, state === "done" ? "good" : "busy");
  if (ignoredMessages > 0) status.append(make("br"), "A message that is no approval was ignored.");
}

/** Shows what is left of the request's time; not read out, for it would never stop. */
function countDown(flow: AuthFlow<TokenApproval>): () => void {
  const left = byId("sign-in-left");
  const show = () => {
    const seconds = Math.max(0, Math.round((flow.status.expiresAt - Date.now()) / 1000));
    left.textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
  };
  show();
  const timer = setInterval(show, 1000);
  return () => clearInterval(timer);
}
