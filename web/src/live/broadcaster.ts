import type { Broadcast, LiveSession, TrackWriter } from "../../../clients/client/src/live.ts";
import { type About, tracks } from "./about.ts";
import { Rate } from "./numbers.ts";
import type { Source } from "./source.ts";

const frameRate = 30;
/** A key frame, and with it a group, begins every two seconds. */
const framesAGroup = 60;
const bitrate = 1_200_000;
/** Above this a frame is left out rather than put behind what waits already. */
const backlogMaxBytes = 300_000;
/** Stills are for who cannot decode video; each is a picture of its own, so there are fewer. */
const stillEvery = 3;
const stillType = "image/jpeg";

/** What browsers encode and decode, what they do best first. */
const codecs = ["vp8", "avc1.42e01f", "vp09.00.10.08"];

export interface BroadcastNumbers {
  readonly framesASecond: number;
  readonly bytesASecond: number;
  readonly droppedFrames: number;
  readonly droppedGroups: number;
  readonly isWatched: boolean;
  readonly codec: string;
}

/** Draws a source 30 times a second, encodes what somebody watches, and publishes it. */
export class Broadcaster {
  readonly #broadcast: Broadcast;
  readonly #source: Source;
  readonly #context: CanvasRenderingContext2D;
  readonly #ticker: Worker;
  readonly #encoder: VideoEncoder | undefined;
  readonly #video: TrackWriter;
  readonly #stills: TrackWriter;
  readonly #frames = new Rate();
  readonly #bytes = new Rate();
  #droppedFrames = 0;
  #sinceKey = framesAGroup;
  #ticks = 0;
  #group: ReturnType<TrackWriter["group"]> | undefined;
  #isStillUnderway = false;
  readonly #codec: string;

  static async start(
    session: LiveSession,
    path: string,
    secret: string,
    source: Source,
    canvas: HTMLCanvasElement,
    tickerUrl: string,
  ): Promise<Broadcaster> {
    const config = await encoderConfig(canvas);
    source.draw(canvas.getContext("2d")!);
    const decoding = config && (await decoderConfig(config, canvas));
    const works = decoding === undefined ? undefined : config;
    const broadcaster = new Broadcaster(session.publish(path, { secret }), source, canvas, tickerUrl, works);
    broadcaster.#describe(canvas, decoding);
    return broadcaster;
  }

  private constructor(
    broadcast: Broadcast,
    source: Source,
    canvas: HTMLCanvasElement,
    tickerUrl: string,
    config: VideoEncoderConfig | undefined,
  ) {
    this.#broadcast = broadcast;
    this.#source = source;
    this.#context = canvas.getContext("2d")!;
    this.#video = broadcast.track(tracks.video, { priority: 1, ordered: true, latencyMaxMs: 1_000 });
    this.#stills = broadcast.track(tracks.stills, { latencyMaxMs: 500 });
    this.#codec = config?.codec ?? "stills";
    if (config !== undefined) {
      this.#encoder = new VideoEncoder({
        output: (chunk) => this.#send(chunk),
        error: () => this.stop(),
      });
      this.#encoder.configure(config);
    }
    this.#ticker = new Worker(tickerUrl);
    this.#ticker.onmessage = () => this.#tick();
  }

  /** Since they were last taken. */
  takeNumbers(): BroadcastNumbers {
    return {
      framesASecond: this.#frames.take(),
      bytesASecond: this.#bytes.take(),
      droppedFrames: this.#droppedFrames,
      droppedGroups: this.#video.droppedGroups + this.#stills.droppedGroups,
      isWatched: this.#video.wanted || this.#stills.wanted,
      codec: this.#codec,
    };
  }

  stop(): void {
    this.#ticker.terminate();
    if (this.#encoder !== undefined && this.#encoder.state !== "closed") this.#encoder.close();
    this.#source.stop();
    this.#broadcast.end();
  }

  #describe({ width, height }: HTMLCanvasElement, video: VideoDecoderConfig | undefined): void {
    const about: About = { width, height, video: video ?? null, stills: stillType };
    this.#broadcast.track(tracks.about, { priority: 2 }).frame(JSON.stringify(about));
  }

  #tick(): void {
    this.#source.draw(this.#context);
    if (this.#video.wanted) this.#encode();
    // Who comes later begins with a picture of now.
    else this.#sinceKey = framesAGroup;
    if (this.#stills.wanted && this.#ticks++ % stillEvery === 0) this.#still();
  }

  #encode(): void {
    const encoder = this.#encoder;
    if (encoder === undefined) return;
    if (encoder.encodeQueueSize > 2 || this.#video.backlogBytes > backlogMaxBytes) {
      this.#droppedFrames++;
      return;
    }
    const keyFrame = this.#sinceKey >= framesAGroup;
    this.#sinceKey = keyFrame ? 1 : this.#sinceKey + 1;
    const frame = new VideoFrame(this.#context.canvas, { timestamp: Date.now() * 1_000 });
    encoder.encode(frame, { keyFrame });
    frame.close();
  }

  #send(chunk: EncodedVideoChunk): void {
    const payload = new Uint8Array(chunk.byteLength);
    chunk.copyTo(payload);
    if (chunk.type === "key") this.#group = this.#video.group();
    if (this.#group?.write(payload, chunk.timestamp / 1_000) !== true) {
      // The group was given up: the next frame begins another.
      this.#sinceKey = framesAGroup;
      this.#droppedFrames++;
      return;
    }
    this.#frames.add(1);
    this.#bytes.add(payload.length);
  }

  #still(): void {
    if (this.#isStillUnderway || this.#stills.backlogBytes > backlogMaxBytes) {
      this.#droppedFrames++;
      return;
    }
    this.#isStillUnderway = true;
    const drawnAt = Date.now();
    this.#context.canvas.toBlob(
      async (blob) => {
        const payload = new Uint8Array(await blob!.arrayBuffer());
        this.#isStillUnderway = false;
        if (!this.#stills.wanted) return;
        this.#stills.frame(payload, drawnAt);
        this.#frames.add(1);
        this.#bytes.add(payload.length);
      },
      stillType,
      0.7,
    );
  }
}

async function encoderConfig({ width, height }: HTMLCanvasElement): Promise<VideoEncoderConfig | undefined> {
  if (!("VideoEncoder" in globalThis)) return undefined;
  for (const codec of codecs) {
    const config: VideoEncoderConfig = {
      ...{ codec, width, height, bitrate, framerate: frameRate, latencyMode: "realtime" },
      // Parameters within the stream: a group then needs nothing from outside.
      ...(codec.startsWith("avc1") ? { avc: { format: "annexb" } } : {}),
    };
    const { supported } = await VideoEncoder.isConfigSupported(config);
    if (supported) return config;
  }
  return undefined;
}

/**
 * What a decoder must know of what this encoder makes, its colours among it: only a first frame tells. Undefined where
 * the encoder fails, whatever it promised.
 */
async function decoderConfig(
  config: VideoEncoderConfig,
  canvas: HTMLCanvasElement,
): Promise<VideoDecoderConfig | undefined> {
  let found: VideoDecoderConfig | undefined;
  const encoder = new VideoEncoder({
    output: (_chunk, metadata) => {
      if (metadata?.decoderConfig === undefined) return;
      // A description would be bytes; what these codecs need stands in their stream.
      const { codec, colorSpace } = metadata.decoderConfig;
      found ??= colorSpace === undefined ? { codec } : { codec, colorSpace };
    },
    error: () => {},
  });
  try {
    encoder.configure(config);
    const frame = new VideoFrame(canvas, { timestamp: 0 });
    encoder.encode(frame, { keyFrame: true });
    frame.close();
    await encoder.flush();
  } catch {
    return undefined;
  } finally {
    if (encoder.state !== "closed") encoder.close();
  }
  return found;
}
