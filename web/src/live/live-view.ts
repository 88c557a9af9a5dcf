import {
  connectLive,
  createSecret,
  isPosternError,
  type LiveSession,
} from "../../../clients/client/src/live.ts";
import { joinPath } from "../../../wire/live/path.ts";
import { byId, tell } from "../dom.ts";
import { drawQrCode } from "../qr-code.ts";
import type { Relay } from "../relay.ts";
import { isPublicToWatch, publishAccess } from "./access.ts";
import { Broadcaster } from "./broadcaster.ts";
import { formatLiveLink, type LiveLink } from "./link.ts";
import { bitrateText, connectionText, showNumbers } from "./numbers.ts";
import { CameraError, camera, testPattern } from "./source.ts";
import { Viewer } from "./viewer.ts";

const numbersEveryMs = 500;
const unwatched = "On air. Nobody watches, so nothing is sent.";
const lineLost = "The connection was lost. Connecting again…";

/** Whether a session has a connection at the moment. */
interface Line {
  isUp: boolean;
}

let view: LiveView | undefined;

/** The one view of the page. */
export function liveView(relay: Relay): LiveView {
  view ??= new LiveView(relay);
  return view;
}

/** What the buttons of the section do. */
class LiveView {
  readonly #relay: Relay;
  #link: LiveLink | undefined;
  #stopBroadcast: (() => void) | undefined;
  #stopWatching: (() => void) | undefined;

  constructor(relay: Relay) {
    this.#relay = relay;
    byId("broadcast-stop").addEventListener("click", () => this.#stopBroadcast?.());
    byId("watch-stop").addEventListener("click", () => this.#stopWatching?.());
  }

  async broadcast(kind: "pattern" | "camera"): Promise<void> {
    const status = byId("broadcast-status");
    const token = byId<HTMLInputElement>("broadcast-token").value.trim();
    const access = publishAccess(this.#relay, token);
    if (access === undefined) {
      byId("broadcast-access").hidden = false;
      byId("broadcast-token").focus();
      tell(status, token === "" ? "Paste a token first." : "This token does not allow publishing.", "bad");
      return;
    }
    let session: LiveSession | undefined;
    try {
      const source = kind === "camera" ? await camera() : testPattern();
      tell(status, "Connecting…", "busy");
      const line: Line = { isUp: false };
      session = await this.#connect(access.token, line);
      const secret = createSecret();
      // Nobody needs to guess the name: the secret alone opens what is there.
      const path = joinPath(access.prefix, `page-${createSecret().slice(0, 12)}`);
      const canvas = byId<HTMLCanvasElement>("broadcast-picture");
      const ticker = byId("live-panes").dataset.ticker!;
      const broadcaster = await Broadcaster.start(session, path, secret, source, canvas, ticker);
      this.#showBroadcast({ secret, path }, session, line, broadcaster);
    } catch (error) {
      session?.close();
      tell(status, failureText(error), "bad");
    }
  }

  /** Watches what this page broadcasts, or what its link names. */
  async watch(): Promise<void> {
    const [link, status] = [this.#link, byId("watch-status")];
    if (link === undefined) return;
    const token = byId<HTMLInputElement>("watch-token").value.trim();
    if (token === "" && this.#needsToken(link)) {
      byId("watch-token").focus();
      tell(status, "Paste a token first.", "bad");
      return;
    }
    tell(status, "Connecting…", "busy");
    swap("watch-start", "watch-stop");
    let session: LiveSession | undefined;
    let end = () => {};
    try {
      const line: Line = { isUp: false };
      session = await this.#connect(token === "" ? undefined : token, line);
      tell(status, "Waiting for the broadcast…", "busy");
      const canvas = byId<HTMLCanvasElement>("watch-picture");
      const viewer = new Viewer(session, link.path, link.secret, canvas);
      end = showWatching(session, line, viewer, canvas);
      this.#stopWatching = () => viewer.stop();
      await viewer.run();
      tell(status, "Stopped.");
    } catch (error) {
      tell(status, failureText(error), "bad");
    } finally {
      end();
      session?.close();
      swap("watch-stop", "watch-start");
    }
  }

  /** Watches the broadcast of a link that was opened. */
  async open(link: LiveLink): Promise<void> {
    this.#offer(link);
    if (this.#needsToken(link)) tell(byId("watch-status"), "This relay asks for a token here.");
    else await this.watch();
  }

  #needsToken(link: LiveLink): boolean {
    return !isPublicToWatch(this.#relay, link.path);
  }

  #offer(link: LiveLink): void {
    this.#link = link;
    byId("watch-access").hidden = !this.#needsToken(link);
    byId<HTMLButtonElement>("watch-start").disabled = false;
  }

  /** `line` tells from then on whether the connection is there. */
  #connect(token: string | undefined, line: Line): Promise<LiveSession> {
    return connectLive(this.#relay.url, {
      ...(token === undefined ? {} : { token }),
      // Where the relay has no WebTransport, asking for it would only fail.
      transport: this.#relay.facts.live!.webTransport ? "auto" : "websocket",
      reconnect: true,
      onConnect: () => {
        line.isUp = true;
      },
      onTrouble: () => {
        line.isUp = false;
      },
    });
  }

  #showBroadcast(link: LiveLink, session: LiveSession, line: Line, broadcaster: Broadcaster): void {
    const [status, numbers] = [byId("broadcast-status"), byId("broadcast-numbers")];
    const starts = ["broadcast-pattern", "broadcast-camera"].map((id) => byId(id));
    const stop = byId("broadcast-stop");
    const stage = byId("broadcast-picture").parentElement!;
    stage.dataset.on = "";
    for (const button of starts) button.hidden = true;
    stop.hidden = false;
    stop.focus();
    this.#showLink(link);
    const timer = setInterval(() => {
      const now = broadcaster.takeNumbers();
      if (!line.isUp) keepTelling(status, lineLost, "busy");
      else if (now.isWatched) keepTelling(status, "On air, and watched.", "good");
      else keepTelling(status, unwatched, "good");
      showNumbers(numbers, [
        ["sent", bitrateText(now.bytesASecond)],
        ["frames a second", now.framesASecond.toFixed(0)],
        ["frames left out", String(now.droppedFrames)],
        ["groups given up", String(now.droppedGroups)],
        ["pictures", now.codec],
        ["by", connectionText(session.connection)],
      ]);
    }, numbersEveryMs);
    tell(status, unwatched, "good");
    const over = (text: string, kind: "plain" | "bad") => {
      if (this.#stopBroadcast === undefined) return;
      this.#stopBroadcast = undefined;
      clearInterval(timer);
      broadcaster.stop();
      session.close();
      delete stage.dataset.on;
      const canvas = byId<HTMLCanvasElement>("broadcast-picture");
      canvas.getContext("2d")!.clearRect(0, 0, canvas.width, canvas.height);
      numbers.hidden = true;
      for (const button of starts) button.hidden = false;
      stop.hidden = true;
      starts[0]!.focus();
      byId("live-device").hidden = true;
      tell(status, text, kind);
    };
    this.#stopBroadcast = () => over("Stopped.", "plain");
    void session.closed.then(({ reason }) =>
      over(`The session ended: ${reason || "no reason given"}.`, "bad"),
    );
  }

  #showLink(link: LiveLink): void {
    const url = formatLiveLink(this.#relay, link);
    byId<HTMLAnchorElement>("live-link").href = url;
    byId("live-link-text").textContent = url;
    byId("live-qr").replaceChildren(drawQrCode(url, "QR code of the link to the broadcast"));
    byId("live-device").hidden = false;
    this.#offer(link);
  }
}

/** Answers what takes the picture and its numbers away again. */
function showWatching(
  session: LiveSession,
  line: Line,
  viewer: Viewer,
  canvas: HTMLCanvasElement,
): () => void {
  const stage = canvas.parentElement!;
  const [status, numbers] = [byId("watch-status"), byId("watch-numbers")];
  const timer = setInterval(() => {
    const now = viewer.takeNumbers();
    const isShown = now.latencyMs !== undefined;
    if (isShown) stage.dataset.on = "";
    if (isShown) keepTelling(status, "Live.", "good");
    else if (!line.isUp) keepTelling(status, lineLost, "busy");
    else if (now.unreadableGroups > 0)
      keepTelling(status, "The link's key does not open this broadcast.", "bad");
    else keepTelling(status, "Waiting for the broadcast…", "busy");
    showNumbers(numbers, [
      ["latency", isShown ? `${Math.max(0, Math.round(now.latencyMs!))} ms` : "–"],
      ["received", bitrateText(now.bytesASecond)],
      ["frames a second", now.framesASecond.toFixed(0)],
      ["groups skipped", String(now.skippedGroups)],
      ["frames too late", String(now.lateFrames)],
      ["pictures", now.codec || "–"],
      ["by", connectionText(session.connection)],
    ]);
  }, numbersEveryMs);
  return () => {
    clearInterval(timer);
    delete stage.dataset.on;
    canvas.getContext("2d")!.clearRect(0, 0, canvas.width, canvas.height);
    numbers.hidden = true;
  };
}

/** `tell`, where it is news: what is read out is not read out again. */
function keepTelling(status: HTMLElement, text: string, kind: Parameters<typeof tell>[2]): void {
  if (status.textContent !== text) tell(status, text, kind);
}

/** One button takes another's place, and its focus. */
function swap(before: string, after: string): void {
  const hadFocus = document.activeElement === byId(before);
  byId(before).hidden = true;
  byId(after).hidden = false;
  if (hadFocus) byId(after).focus();
}

function failureText(error: unknown): string {
  if (error instanceof CameraError) return error.message;
  if (!isPosternError(error)) throw error;
  if (error.code === "relay_refused" && error.details.status !== 404) {
    return "The relay does not accept this token here.";
  }
  if (error.code === "session_ended") return "The relay ended the session. The token may have run out.";
  return error.message;
}
