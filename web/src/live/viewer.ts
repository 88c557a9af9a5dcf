import type { LiveGroup, LiveSession, Subscription } from "../../../clients/client/src/live.ts";
import { type About, parseAbout, tracks } from "./about.ts";
import { Rate } from "./numbers.ts";

/** What a group that is not over may wait for its turn before its rest is left out, in ms. */
const latencyMaxMs = 1_000;
/** Frames in the decoder above which we are too slow for this video. */
const decodeQueueMax = 60;

export interface ViewerNumbers {
  /** From the camera to the screen, by both clocks; undefined while nothing is shown. */
  readonly latencyMs: number | undefined;
  readonly bytesASecond: number;
  readonly framesASecond: number;
  readonly skippedGroups: number;
  readonly lateFrames: number;
  readonly unreadableGroups: number;
  readonly codec: string;
}

/** Shows a broadcast of this page on a canvas: video where the browser decodes it, otherwise stills. */
export class Viewer {
  readonly #session: LiveSession;
  readonly #path: string;
  readonly #secret: string;
  readonly #canvas: HTMLCanvasElement;
  readonly #stop = new AbortController();
  #pictures: Subscription | undefined;
  #codec = "";
  #latencies: number[] = [];
  #shownAt = 0;
  readonly #frames = new Rate();
  readonly #bytes = new Rate();
  #countedBytes = 0;
  #lateFrames = 0;
  #unreadableGroups = 0;

  constructor(session: LiveSession, path: string, secret: string, canvas: HTMLCanvasElement) {
    this.#session = session;
    this.#path = path;
    this.#secret = secret;
    this.#canvas = canvas;
  }

  /** Shows what comes until stopped. Rejects with PosternError. */
  async run(): Promise<void> {
    const about = this.#session.subscribe(this.#path, tracks.about, {
      ...{ secret: this.#secret, follow: true, priority: 2, signal: this.#stop.signal },
    });
    let said = "";
    let showing: Promise<void> | undefined;
    for await (const group of about) {
      for await (const { payload } of group) {
        const text = new TextDecoder().decode(payload);
        const parsed = text === said ? undefined : parseAbout(text);
        if (parsed === undefined) continue;
        said = text;
        this.#pictures?.close();
        showing = this.#show(parsed);
        showing.catch(() => this.stop());
      }
      this.#countState(group);
    }
    await showing;
  }

  stop(): void {
    this.#stop.abort();
    this.#pictures?.close();
  }

  /** Since they were last taken. */
  takeNumbers(): ViewerNumbers {
    const received = this.#pictures?.receivedBytes ?? 0;
    this.#bytes.add(Math.max(0, received - this.#countedBytes));
    this.#countedBytes = received;
    const sorted = this.#latencies.sort((a, b) => a - b);
    this.#latencies = [];
    return {
      latencyMs: sorted[Math.floor(sorted.length / 2)],
      bytesASecond: this.#bytes.take(),
      framesASecond: this.#frames.take(),
      skippedGroups: this.#pictures?.skippedGroups ?? 0,
      lateFrames: this.#lateFrames,
      unreadableGroups: this.#unreadableGroups,
      codec: this.#codec,
    };
  }

  async #show(about: About): Promise<void> {
    this.#canvas.width = about.width;
    this.#canvas.height = about.height;
    const { video } = about;
    const config = video !== null && (await canDecode(video)) ? video : undefined;
    if (this.#stop.signal.aborted) return;
    this.#codec = config?.codec ?? "stills";
    this.#countedBytes = 0;
    const pictures = this.#session.subscribe(this.#path, config ? tracks.video : tracks.stills, {
      ...{ secret: this.#secret, follow: true, ordered: true, latencyMaxMs, priority: 1 },
    });
    this.#pictures = pictures;
    if (config) await this.#decode(pictures, config);
    else await this.#showStills(pictures, about.stills);
  }

  async #decode(groups: Subscription, config: VideoDecoderConfig): Promise<void> {
    let decoder: VideoDecoder | undefined;
    for await (const group of groups) {
      if (decoder === undefined || decoder.state === "closed") {
        decoder = new VideoDecoder({ output: (frame) => this.#onFrame(frame), error: () => {} });
        decoder.configure({ ...config, optimizeForLatency: true });
      }
      for await (const { payload, timestampMs = Date.now(), index } of group) {
        // It failed, or falls behind: the next group begins with a key frame.
        if (decoder.state === "closed" || decoder.decodeQueueSize > decodeQueueMax) break;
        const type = index === 0 ? "key" : "delta";
        decoder.decode(new EncodedVideoChunk({ type, timestamp: timestampMs * 1_000, data: payload }));
      }
      this.#countState(group);
    }
    if (decoder !== undefined && decoder.state !== "closed") decoder.close();
  }

  async #showStills(groups: Subscription, type: string): Promise<void> {
    for await (const group of groups) {
      for await (const { payload, timestampMs = Date.now() } of group) {
        const picture = await createImageBitmap(new Blob([payload], { type }));
        this.#draw(picture, timestampMs);
        picture.close();
      }
      this.#countState(group);
    }
  }

  #onFrame(frame: VideoFrame): void {
    this.#draw(frame, frame.timestamp / 1_000);
    frame.close();
  }

  #draw(picture: VideoFrame | ImageBitmap, takenAt: number): void {
    if (takenAt < this.#shownAt && this.#shownAt - takenAt < 10_000) {
      this.#lateFrames++;
      return;
    }
    this.#shownAt = takenAt;
    this.#canvas.getContext("2d")!.drawImage(picture, 0, 0, this.#canvas.width, this.#canvas.height);
    this.#frames.add(1);
    this.#latencies.push(Date.now() - takenAt);
  }

  #countState({ state }: LiveGroup): void {
    if (state === "unreadable") this.#unreadableGroups++;
  }
}

async function canDecode(config: VideoDecoderConfig): Promise<boolean> {
  if (!("VideoDecoder" in globalThis)) return false;
  try {
    return (await VideoDecoder.isConfigSupported(config)).supported ?? false;
  } catch {
    return false;
  }
}
