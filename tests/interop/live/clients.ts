import { join } from "node:path";
import type * as Lite from "@moq/lite";
import * as Net from "@moq/net";
import Qmux from "@moq/qmux";
import { build } from "esbuild";
import { temporaryFolder } from "#tests/support/temporary-folder.ts";

// The clients talk to the console as they go; a test's output is for its own words.
for (const level of ["debug", "log", "warn", "error"] as const) console[level] = () => {};

/** What the tests do with a published client, whichever it is. */
export interface MoqClient {
  readonly version: string;
  /** Publishes `path`; `serve` writes into each track that is asked for. */
  publish(path: string, serve: (track: WrittenTrack) => void): { end(): void };
  /** Names and states as they are announced. */
  announced(prefix?: string): () => Promise<{ path: string; active: boolean } | undefined>;
  /** Strings of the track, frame by frame; `undefined` at its end. */
  subscribe(path: string, track: string): { next(): Promise<string | undefined>; close(): void };
  close(): void;
  readonly closed: Promise<unknown>;
}

export interface WrittenTrack {
  readonly name: string;
  /** One group with these frames; false once the client has closed the track. */
  group(...frames: string[]): boolean;
  end(): void;
}

export type Connect = (url: URL) => Promise<MoqClient>;

/** `@moq/net`; with `subprotocol` it speaks that one, otherwise it offers all it has. */
export function netClient(subprotocol?: string): Connect {
  return async (url) => {
    const props = subprotocol === undefined ? {} : { transport: await transportOver(url, subprotocol) };
    const connection = await Net.Connection.connect(url, props);
    return {
      version: connection.version,
      publish(path, serve) {
        const broadcast = new Net.Broadcast.Producer();
        connection.publish(Net.Path.from(path), broadcast);
        void (async () => {
          for (let asked = await broadcast.requested(); asked; asked = await broadcast.requested()) {
            const track = asked.accept();
            serve(written(asked.name, track));
          }
        })();
        return { end: () => broadcast.close() };
      },
      announced(prefix = "") {
        const announced = connection.announced(Net.Path.from(prefix));
        return () => announced.next();
      },
      subscribe(path, name) {
        const track = connection.consume(Net.Path.from(path)).subscribe(name, { ordered: true });
        return { next: () => track.readString(), close: () => track.close() };
      },
      close: () => connection.close(),
      closed: connection.closed,
    };
  };
}

/** The qmux client of `@moq/net`, on a WebSocket that offers just the one subprotocol. */
export async function transportOver(url: URL, subprotocol: string): Promise<WebTransport> {
  const target = url.href.replace(/^http/, "ws");
  const socket = new WebSocket(target, [subprotocol]) as unknown as ConstructorParameters<typeof Qmux>[0];
  const session = new Qmux(socket);
  // What was agreed upon is known only then, and `connect` asks at once.
  await session.ready;
  return session as unknown as WebTransport;
}

/** `@moq/lite` and its forerunner `@kixelated/moq`: the same interface. */
export type OlderPackage = Pick<typeof Lite, "Broadcast" | "Connection" | "Path">;

export function olderClient(library: OlderPackage): Connect {
  return async (url) => {
    const connection = await library.Connection.connect(url);
    return {
      version: String(connection.version),
      publish(path, serve) {
        const broadcast = new library.Broadcast();
        connection.publish(library.Path.from(path), broadcast);
        void (async () => {
          for (let asked = await broadcast.requested(); asked; asked = await broadcast.requested()) {
            serve(written(asked.track.name, asked.track));
          }
        })();
        return { end: () => broadcast.close() };
      },
      announced(prefix = "") {
        const announced = connection.announced(library.Path.from(prefix));
        return () => announced.next();
      },
      subscribe(path, name) {
        const track = connection.consume(library.Path.from(path)).subscribe(name, 0);
        return { next: () => track.readString(), close: () => track.close() };
      },
      close: () => connection.close(),
      closed: connection.closed,
    };
  };
}

/** `@kixelated/moq`: its imports have no file extensions, so only a bundle of it can be loaded. */
export async function loadKixelated(): Promise<OlderPackage> {
  using folder = temporaryFolder();
  const outfile = folder.file("kixelated-moq.mjs");
  await build({
    stdin: { contents: 'export * from "@kixelated/moq";', resolveDir: join(import.meta.dirname, "../../..") },
    bundle: true,
    format: "esm",
    platform: "node",
    outfile,
    logLevel: "silent",
  });
  return await import(outfile);
}

function written(
  name: string,
  track: { appendGroup(): { writeString(text: string): void; close(): void }; close(): void },
): WrittenTrack {
  return {
    name,
    group(...frames) {
      try {
        const group = track.appendGroup();
        for (const frame of frames) group.writeString(frame);
        group.close();
        return true;
      } catch {
        return false;
      }
    },
    end: () => track.close(),
  };
}
