import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, type TestContext, test } from "node:test";
import { setTimeout as elapse } from "node:timers/promises";
import { temporaryFolder } from "#tests/support/temporary-folder.ts";
import {
  type LaunchedRelay,
  launchRelay,
  type Relay,
  type RelaySettings,
  runningRelay,
  testsReference,
} from "./launch.ts";
import { type Answer, Connection, encodeRequest, type RequestParts } from "./raw-http.ts";

/** A request under way on a connection of its own. */
export interface Call {
  readonly answer: Promise<Answer>;
  /** Whether the answer has come. */
  readonly isAnswered: boolean;
  /** Hangs up with a TCP reset. */
  reset(): void;
}

/** What a case works with: one relay, fresh ids, and requests that end with the case. */
export interface Scene {
  readonly t: TestContext;
  readonly relay: Relay;
  /** A fresh id; nobody else in this run uses it. */
  id(): string;
  /** Sends a request on a new connection and takes the answer. */
  call(method: string, target: string, parts?: RequestParts): Promise<Answer>;
  /** Sends a request and does not wait for its answer. Resolves once the request is written. */
  start(method: string, target: string, parts?: RequestParts): Promise<Call>;
  /** As `start`, and returns once the relay had every chance to answer or to park it; it must not have answered. */
  park(method: string, target: string, parts?: RequestParts): Promise<Call>;
  /** Gives the relay time to take in all that was sent to it so far. */
  settle(): Promise<void>;
  /** A connection for bytes that no client would send. */
  connection(): Promise<Connection>;
}

/** A scene whose relay is ours: it may be killed, and its settings are those the case asked for. */
export interface LaunchedScene extends Scene {
  readonly relay: LaunchedRelay;
}

export interface CaseOptions {
  /** The original is known to fail this case: a run against it expects the failure. */
  readonly referenceFails?: boolean;
  /** Whether the case sits out a wait of the relay (default: every wait is long and none is sat out). */
  readonly waits?: "long" | "short";
  /** Whether a launched relay keeps its messages in a file, so that a restarted one has them. */
  readonly durable?: boolean;
  /** Settings the case needs; it then gets a launched relay to itself. */
  readonly settings?: RelaySettings;
}

/** Long enough that an answer which comes at all came for another reason than the end of a wait. */
const longWaits = { inboxTimeoutMs: 60_000, linkTimeoutMs: 60_000, cors: false } satisfies RelaySettings;
const shortWaits = { inboxTimeoutMs: 600, linkTimeoutMs: 800, cors: false } satisfies RelaySettings;
/** Longer than this no case waits for a relay at `RELAY_URL` to time out. */
const satOutMaxMs = 30_000;

const shared = new Map<string, Promise<Relay>>();
const sharedFolder = temporaryFolder();
after(async () => {
  for (const relay of shared.values()) await (await relay)[Symbol.asyncDispose]();
  sharedFolder[Symbol.dispose]();
});

/** One relay for all cases that need no special settings. It keeps its messages in a file, as Postern does by default. */
function sharedRelay(waits: "long" | "short"): Promise<Relay> {
  let relay = shared.get(waits);
  if (relay === undefined) {
    const running = runningRelay();
    const settings = waits === "long" ? longWaits : shortWaits;
    const persistDb = sharedFolder.file(`${waits}.db`);
    relay = running ? Promise.resolve(running) : launchRelay({ ...settings, persistDb });
    shared.set(waits, relay);
  }
  return relay;
}

/** Registers a case that any relay can be asked, also one that is already running at `RELAY_URL`. */
export function relayCase(
  name: string,
  options: Pick<CaseOptions, "waits" | "referenceFails">,
  body: (scene: Scene) => Promise<void>,
): void {
  const running = runningRelay();
  const waits = options.waits ?? "long";
  // A relay at a URL may wait ten minutes: what would sit that out is not asked of it.
  if (running && waits === "short" && Math.max(running.inboxTimeoutMs, running.linkTimeoutMs) > satOutMaxMs)
    return;
  test(name, testOptions(options), async (t) => {
    await using stage = sceneOn(t, await sharedRelay(waits));
    await body(stage.scene);
  });
}

/** Registers a case that needs a relay of its own with special settings: launched, never one at `RELAY_URL`. */
export function launchedCase(
  name: string,
  options: CaseOptions & { readonly settings: RelaySettings },
  body: (scene: LaunchedScene) => Promise<void>,
): void {
  if (runningRelay()) return;
  const defaults = options.waits === "short" ? shortWaits : longWaits;
  test(name, testOptions(options), async (t) => {
    using folder = temporaryFolder();
    const persistence = options.durable ? { persistDb: folder.file("relay.db") } : {};
    await using relay = await launchRelay({ ...defaults, ...persistence, ...options.settings });
    await using stage = sceneOn(t, relay);
    await body({ ...stage.scene, relay });
  });
}

function testOptions(options: CaseOptions) {
  // Only a wrong answer counts as the expected failure; a relay that does not start is still an error.
  return {
    expectFailure: options.referenceFails && testsReference ? isWrongAnswer : false,
    timeout: 120_000,
  };
}

const isWrongAnswer = (error: unknown): boolean => error instanceof assert.AssertionError;

/** The scene of one relay; disposing of it hangs up whatever the case left open. */
export function sceneOn(t: TestContext, relay: Relay): AsyncDisposable & { readonly scene: Scene } {
  const open = new Set<Connection>();
  const connection = async () => {
    const opened = await Connection.open(relay);
    open.add(opened);
    return opened;
  };
  const start = async (method: string, target: string, parts?: RequestParts): Promise<Call> => {
    const carrier = await connection();
    carrier.send(encodeRequest(method, target, parts));
    let isAnswered = false;
    const answer = carrier.next(method).then((whole) => {
      isAnswered = true;
      return whole;
    });
    // A call that a case abandons must not end the process.
    answer.catch(() => {});
    return {
      answer,
      get isAnswered() {
        return isAnswered;
      },
      reset: () => carrier.reset(),
    };
  };
  const call = async (method: string, target: string, parts?: RequestParts) =>
    (await start(method, target, parts)).answer;
  const settle = async () => {
    // Elapsed time alone proves little on a busy machine: round trips show that the relay came by since.
    for (let round = 0; round < 2; round++) {
      await elapse(40);
      assert.equal((await call("GET", "/")).status, 200);
    }
  };
  const scene: Scene = {
    t,
    relay,
    id: () => randomBytes(16).toString("base64url"),
    call,
    start,
    settle,
    connection,
    async park(method, target, parts) {
      const parked = await start(method, target, parts);
      await settle();
      assert.equal(parked.isAnswered, false, `${method} is answered at once instead of waiting`);
      return parked;
    },
  };
  return {
    scene,
    async [Symbol.asyncDispose]() {
      for (const left of open) left[Symbol.dispose]();
    },
  };
}

/** What an answer must be. Headers given as `undefined` must be absent. */
export interface Expected {
  readonly status: number;
  readonly text?: string;
  readonly headers?: Readonly<Record<string, string | undefined>>;
}

/** Compares an answer with what it must be; headers that are not named do not matter. */
export function assertAnswer(answer: Answer, expected: Expected): void {
  const headers = expected.headers ?? {};
  const seen = Object.fromEntries(Object.keys(headers).map((name) => [name, answer.header(name)]));
  assert.deepEqual(
    {
      status: answer.status,
      ...(expected.text === undefined ? {} : { text: answer.text }),
      headers: seen,
    },
    {
      status: expected.status,
      ...(expected.text === undefined ? {} : { text: expected.text }),
      headers,
    },
  );
}
