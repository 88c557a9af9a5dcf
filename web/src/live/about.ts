/** Tracks of a broadcast of this page. */
export const tracks = { about: "about", video: "video", stills: "stills" } as const;

/** What the track `about` says, as JSON: what the others hold. */
export interface About {
  readonly width: number;
  readonly height: number;
  /** How `video` is decoded, as WebCodecs has it; null where the broadcaster's browser has no encoder. */
  readonly video: VideoDecoderConfig | null;
  /** Media type of the pictures in `stills`. */
  readonly stills: string;
}

/** `undefined`: not what this page writes. The secret is the writer's, so no more than its shape is checked. */
export function parseAbout(text: string): About | undefined {
  try {
    const { width, height, video, stills } = JSON.parse(text);
    const isSize = (value: unknown) => Number.isInteger(value) && Number(value) > 0 && Number(value) <= 4_096;
    if (!isSize(width) || !isSize(height) || typeof stills !== "string") return undefined;
    return { width, height, stills, video: typeof video?.codec === "string" ? video : null };
  } catch {
    return undefined;
  }
}
