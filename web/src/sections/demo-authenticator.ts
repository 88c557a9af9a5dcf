import {
  type AuthRequest,
  type AuthRequestWarning,
  type Fetch,
  isPubkyError,
  Keypair,
  parseAuthRequest,
} from "../../../clients/pubky/src/index.ts";
import { byId, make, tell } from "../dom.ts";

const WARNINGS: Record<AuthRequestWarning, string> = {
  asks_for_everything: "It asks for everything you have.",
  new_account: "It asks for a new account.",
  relay_without_tls: "Its relay is reached without TLS: others on the way see that somebody signs in.",
  unreadable_capabilities: "Part of what it asks for cannot be read and will not be granted.",
};

/** What an authenticator on a phone does, with a key that lives as long as this page. */
export class DemoAuthenticator {
  readonly #fetch: Fetch;
  readonly #keypair = Keypair.random();
  readonly #approve = byId<HTMLButtonElement>("approve");
  readonly #decline = byId<HTMLButtonElement>("decline");
  readonly #status = byId("authenticator-status");
  #request: AuthRequest | undefined;

  constructor(fetch: Fetch) {
    this.#fetch = fetch;
    byId("demo-key").textContent = this.#keypair.publicKey.toString();
    this.#approve.addEventListener("click", () => void this.#onApprove());
    this.#decline.addEventListener("click", () => this.#onDecline());
  }

  /** Shows what the link asks for, as if its code had been scanned. */
  read(url: string): void {
    const request = parseAuthRequest(url);
    this.#request = request;
    byId("asked").replaceChildren(...request.capabilities.map((entry) => make("li", "", explained(entry))));
    byId("asked-relay").textContent = request.relayHost;
    byId("asked-warnings").replaceChildren(...request.warnings.map((code) => make("li", "", WARNINGS[code])));
    this.#enable(true);
    tell(this.#status, "An app asks you to sign in.");
  }

  /** The app no longer waits. */
  withdraw(): void {
    if (!this.#request) return;
    this.#request = undefined;
    this.#enable(false);
    tell(this.#status, "The app withdrew its request.");
  }

  async #onApprove(): Promise<void> {
    const request = this.#request;
    if (!request) return;
    this.#request = undefined;
    this.#enable(false);
    tell(this.#status, "Signing, sealing and sending…", "busy");
    try {
      const delivery = await request.approve({ keypair: this.#keypair, fetch: this.#fetch });
      tell(this.#status, "Approved. Waiting for the app to take it…", "busy");
      await delivery.delivered();
      tell(this.#status, "Approved, and the app has it.", "good");
    } catch (error) {
      if (!isPubkyError(error)) throw error;
      tell(this.#status, error.message, "bad");
    }
  }

  #onDecline(): void {
    this.#request?.decline();
    this.#request = undefined;
    this.#enable(false);
    tell(
      this.#status,
      "Declined. Nothing was sent, as the protocol has no word for no: the app waits until its request runs out or is cancelled.",
      "bad",
    );
  }

  #enable(enabled: boolean): void {
    this.#approve.disabled = !enabled;
    this.#decline.disabled = !enabled;
  }
}

/** `/pub/my-app.example/:rw` as a person reads it. */
function explained(capability: string): string {
  const colon = capability.lastIndexOf(":");
  const actions = capability.slice(colon + 1);
  const may = [actions.includes("r") && "read", actions.includes("w") && "write"]
    .filter(Boolean)
    .join(" and ");
  return `${may} ${capability.slice(0, colon)}`;
}
