import assert from "node:assert/strict";
import { after, type TestContext, test } from "node:test";
import { LivePeer } from "#tests/support/live-peer.ts";
import { knock, muxOver, type RawConnection } from "#tests/support/raw-websocket.ts";
import type { Mux, MuxLimits } from "#wire/live/mux.ts";
import { type Dialect, dialects, type LiveRelay, launchLive, testsTheirs, testsUrl } from "./live-relay.ts";

/** A peer over a WebSocket. */
export type ConnectedPeer = LivePeer & { readonly connection: RawConnection };

/** What a case works with: one relay, a path of its own, and connections that end with the case. */
export interface LiveScene {
  readonly t: TestContext;
  readonly relay: LiveRelay;
  /** The case's own place: nobody else's broadcasts are seen there. */
  readonly root: string;
  url(path?: string): URL;
  /** A session below `root`, SETUP done. */
  connect(dialect: Dialect, as?: ConnectAs): Promise<ConnectedPeer>;
}

export interface ConnectAs {
  path?: string;
  /** Another relay than the scene's. */
  relay?: LiveRelay;
  /** From the top of the relay, not below `root`. */
  top?: boolean;
  query?: string;
  origin?: bigint;
  limits?: Partial<MuxLimits>;
  /** Leaves SETUP to the case. */
  bare?: boolean;
}

export interface LiveCaseOptions {
  /** Where the case makes sense (default: everywhere). */
  readonly over?: (dialect: Dialect) => boolean;
  /**
   * The published moq-relay does otherwise, for the reason given here and in docs/live-compatibility.md: a run against
   * it expects the failure. A function names the dialects.
   */
  readonly theirsDiffers?: string | ((dialect: Dialect) => string | false);
  /** The published moq-relay does sometimes so, sometimes otherwise, for the same reasons: it is not asked. */
  readonly theirsUnsteady?: string;
}

let shared: Promise<LiveRelay> | undefined;
let cases = 0;
after(async () => (await shared)?.[Symbol.asyncDispose]());

/** The newest of what each relay speaks, for the other end of a case. */
export const modern: Dialect = dialects.find(
  ({ version, subprotocol }) => version === 5 && subprotocol !== undefined,
)!;

/** Registers a case once for each dialect; any relay can be asked. */
export function liveCase(
  name: string,
  options: LiveCaseOptions,
  body: (scene: LiveScene, dialect: Dialect) => Promise<void>,
): void {
  for (const dialect of dialects) {
    if (options.over?.(dialect) === false || (testsTheirs && options.theirsUnsteady)) continue;
    const differs =
      typeof options.theirsDiffers === "function" ? options.theirsDiffers(dialect) : options.theirsDiffers;
    register(`${name}, ${dialect.name}`, differs, (scene) => body(scene, dialect));
  }
}

/** Registers a case that is asked once. */
export function singleCase(
  name: string,
  options: Pick<LiveCaseOptions, "theirsDiffers">,
  body: (scene: LiveScene) => Promise<void>,
): void {
  register(name, options.theirsDiffers as string | undefined, body);
}

/** Registers a case that needs a Postern of its own, with these options: never another relay. */
export function oursCase(
  name: string,
  args: readonly string[],
  body: (scene: LiveScene) => Promise<void>,
): void {
  if (testsTheirs || testsUrl) return;
  test(name, { timeout: 60_000 }, async (t) => {
    await using relay = await launchLive(args);
    await using stage = liveSceneOn(t, relay);
    await body(stage.scene);
  });
}

function register(
  name: string,
  differs: string | false | undefined,
  body: (scene: LiveScene) => Promise<void>,
): void {
  test(name, {
    timeout: 60_000,
    expectFailure: testsTheirs && differs ? isWrongAnswer : false,
  }, async (t) => {
    shared ??= launchLive();
    await using stage = liveSceneOn(t, await shared);
    await body(stage.scene);
  });
}

const isWrongAnswer = (error: unknown): boolean => error instanceof assert.AssertionError;

/** The scene of one relay; disposing of it hangs up whatever the case left open. */
export function liveSceneOn(
  t: TestContext,
  relay: LiveRelay,
): AsyncDisposable & { readonly scene: LiveScene } {
  const open: RawConnection[] = [];
  const root = `case-${process.pid}-${cases++}`;
  const url = (path = "") => new URL(`/${root}${path}`, relay.url);
  return {
    scene: {
      t,
      relay,
      root,
      url,
      async connect(dialect, { path = "", query = "", origin, limits, bare, top, relay: other } = {}) {
        const at = top ? new URL(path, relay.url) : new URL(`/${root}${path}`, (other ?? relay).url);
        at.search = query;
        let peer: LivePeer | undefined;
        let connection: RawConnection | undefined;
        const { status } = await knock(at, dialect.subprotocol === undefined ? [] : [dialect.subprotocol], {
          onOpen(socket) {
            const handle = (mux: Mux) => {
              peer = new LivePeer(mux, dialect.version, origin);
            };
            connection = muxOver(socket, handle, limits);
          },
        });
        assert.equal(status, 101);
        open.push(connection!);
        if (!bare) await peer!.setUp();
        return Object.assign(peer!, { connection: connection! });
      },
    },
    async [Symbol.asyncDispose]() {
      for (const { socket } of open) socket.terminate();
    },
  };
}
