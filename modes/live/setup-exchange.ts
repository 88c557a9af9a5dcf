import { ControlOutput, ControlStream } from "#wire/live/control-stream.ts";
import { LiveProtocolError, liveError } from "#wire/live/error-code.ts";
import { type Draft, draftOf } from "#wire/live/ietf/draft.ts";
import { IetfProtocolError, sessionCodeOf } from "#wire/live/ietf/error.ts";
import { ControlBuffer, messageType } from "#wire/live/ietf/message.ts";
import * as ietf from "#wire/live/ietf/setup.ts";
import { decodeAuthorizationToken, outOfBand } from "#wire/live/ietf/token.ts";
import {
  chooseSetupVersion,
  decodeClientSetup,
  decodeServerSetup,
  encodeClientSetup,
  encodeServerSetup,
  encodeServerSetupOld,
  setupClient,
  setupClientOld,
  setupServer,
} from "#wire/live/setup.ts";
import type { StreamBuffer } from "#wire/live/stream-buffer.ts";
import type { BidiStream, ReceiveStream } from "#wire/live/transport.ts";
import { type IetfDraft, isIetf, type LiteVersion, setupVersions } from "#wire/live/version.ts";
import { decodeSetupToken } from "#wire/privacy-pass/token.ts";
import type { ShownAtSetup } from "./grant.ts";
import { HeldStream } from "./held-stream.ts";
import type { SessionContext } from "./session-context.ts";

/** What the beginning of a session of moq-transport leaves to what follows. */
export interface IetfSetup {
  /** What the remote said of itself. */
  options: ietf.SetupOptions;
  shown: ShownAtSetup;
  /** Control messages to the remote. */
  output: ControlOutput;
  /** Control messages of the remote: calls back with what came already, and whenever there is more. */
  listen(onInput: (buffer: ControlBuffer, fin: boolean) => void, onGone: () => void): void;
}

/** Goes on once the remote has said what it speaks; `reply` tells it that we agree. */
export interface SetupOutcome {
  lite(version: LiteVersion, shown: ShownAtSetup, reply: () => void): void;
  ietf(draft: IetfDraft, setup: IetfSetup, reply: () => void): void;
}

/** Streams that may wait for the end of the setup. */
const heldStreamsMax = 64;

/** The first words of a session that does not begin at once: CLIENT_SETUP and SERVER_SETUP, or SETUP both ways. */
export class SetupExchange {
  readonly #session: SessionContext;
  #version: IetfDraft | undefined;
  readonly #outcome: SetupOutcome;
  #held: { stream: HeldStream; bidi: BidiStream | undefined }[] = [];
  #heldBytes = 0;
  #begun = false;
  #output: ControlOutput | undefined;

  /** `version` is what the connection's handshake named; `undefined`: it is chosen here. */
  constructor(session: SessionContext, version: IetfDraft | undefined, outcome: SetupOutcome) {
    this.#session = session;
    this.#version = version;
    this.#outcome = outcome;
  }

  start(): void {
    const draft = this.#version && draftOf(this.#version);
    if (draft?.requestStreams) {
      this.#session.openUni((stream) => {
        this.#output = new ControlOutput(this.#session, stream);
        this.#output.send(ietf.encodeSetup(this.#ownOptions(draft), draft));
      });
    } else if (this.#session.transport.role === "client") {
      this.#session.openBidi((bidi) => this.#sendClientSetup(bidi));
    }
  }

  closeCodeOf(error: LiveProtocolError): number {
    if (this.#version === undefined || error instanceof IetfProtocolError) return error.code;
    return sessionCodeOf(error.code);
  }

  onUni(stream: ReceiveStream): void {
    const draft = this.#version && draftOf(this.#version);
    if (!draft?.requestStreams || this.#begun) {
      this.#hold(stream, undefined);
      return;
    }
    const buffer = new ControlBuffer(draft, this.#session.controlMaxBytes);
    const received: Uint8Array[] = [];
    stream.onData = (chunk, fin) => {
      this.#guard(() => {
        received.push(chunk);
        buffer.push(chunk);
        const type = buffer.peekType();
        if (type === undefined) return;
        if (type === messageType.setup && !this.#begun) this.#receiveSetup(draft, stream, buffer, fin);
        else this.#holdReceived(stream, received, fin);
      });
    };
  }

  onBidi(bidi: BidiStream): void {
    const draft = this.#version && draftOf(this.#version);
    if (this.#session.transport.role === "client" || draft?.requestStreams || this.#begun) {
      // Before it is agreed what is spoken, there is nothing a client could ask.
      if (draft === undefined) this.#session.fail(this.#violation("a second setup"));
      else this.#hold(bidi.receive, bidi);
      return;
    }
    this.#begun = true;
    this.#receiveClientSetup(bidi);
  }

  /** Hands on the streams that came too early. */
  release(to: { onUni(stream: ReceiveStream): void; onBidi(bidi: BidiStream): void }): void {
    const held = this.#held;
    this.#held = [];
    for (const { stream, bidi } of held) {
      stream.hand((receive) => (bidi === undefined ? to.onUni(receive) : to.onBidi(bidi)));
    }
  }

  #hold(stream: ReceiveStream, bidi: BidiStream | undefined): void {
    if (this.#held.length >= heldStreamsMax) {
      this.#session.close(liveError.bounds, "too many streams before the setup");
      return;
    }
    const held = new HeldStream(stream, (bytes) => {
      this.#heldBytes += bytes;
      if (this.#heldBytes > this.#session.controlMaxBytes * heldStreamsMax) {
        this.#session.close(liveError.bounds, "too much before the setup");
      }
    });
    this.#held.push({ stream: held, bidi });
  }

  #holdReceived(stream: ReceiveStream, received: readonly Uint8Array[], fin: boolean): void {
    this.#hold(stream, undefined);
    received.forEach((chunk, at) => {
      stream.onData?.(chunk, fin && at === received.length - 1);
    });
  }

  #ownOptions(draft: Draft): Partial<ietf.SetupOptions> {
    const { role, setupTarget } = this.#session.transport;
    return {
      maxRequestId: maxRequestIdOf(this.#session),
      implementation: "postern",
      ...(role === "client" && setupTarget !== undefined ? { path: setupTarget } : {}),
      // We ask for what we want to know.
      solicit: true,
      ...(draft.hopPath ? { hop: this.#session.originId } : {}),
    };
  }

  // From draft 17 on

  #receiveSetup(draft: Draft, stream: ReceiveStream, buffer: ControlBuffer, fin: boolean): void {
    const message = buffer.takeMessage();
    if (message === undefined) {
      if (fin) throw new IetfProtocolError("the setup ends too early");
      return;
    }
    this.#begun = true;
    const options = ietf.decodeSetup(message.body, draft);
    const listen: IetfSetup["listen"] = (onInput, onGone) => {
      stream.onData = (chunk, ends) =>
        this.#guard(() => {
          buffer.push(chunk);
          onInput(buffer, ends);
        });
      stream.onReset = onGone;
      onInput(buffer, fin);
    };
    // While it is decided what becomes of it.
    stream.onData = (chunk) => this.#guard(() => this.#keep(buffer, chunk));
    const setup = { options, shown: shownBy(options, draft), output: this.#output!, listen };
    this.#outcome.ietf(draft.number, setup, () => {});
  }

  #keep(buffer: ControlBuffer, chunk: Uint8Array): void {
    buffer.push(chunk);
    if (buffer.bytes > this.#session.controlMaxBytes) {
      throw new IetfProtocolError("too much before the setup is done");
    }
  }

  // Up to 16, and moq-lite 01 and 02

  #receiveClientSetup(bidi: BidiStream): void {
    const stream = new ControlStream(this.#session, bidi);
    this.#output = stream.output;
    let type: number | undefined;
    stream.onInput = (input) => {
      type ??= input.takeType();
      if (type === undefined) return;
      const old = setupClientOld.includes(type);
      if (!old && type !== setupClient) throw this.#violation("the first stream is not a session's");
      const body = old ? input.takeMessage() : input.takeMessage16();
      if (body !== undefined) this.#takeClientSetup(type, old, body, stream, input);
    };
    stream.onAbort = () => this.#session.close(liveError.cancel, "the session stream was given up");
  }

  #takeClientSetup(
    type: number,
    old: boolean,
    body: Uint8Array,
    stream: ControlStream,
    input: StreamBuffer,
  ): void {
    if (this.#version !== undefined && !draftOf(this.#version).versionsInSetup) {
      this.#agreeIetf(this.#version, body, stream, input);
      return;
    }
    const { versions, parameters, tokenValues } = decodeClientSetup(body);
    const chosen = chooseSetupVersion(versions, this.#version);
    if (chosen === undefined) {
      this.#session.close(liveError.version, "no version in common");
    } else if (isIetf(chosen.version)) {
      this.#agreeIetf(chosen.version, parameters, stream, input);
    } else {
      stream.onInput = (rest) => void rest.takeRest();
      const reply = old ? encodeServerSetupOld(type, chosen.id) : encodeServerSetup(chosen.id);
      const shown = { path: undefined, tokens: tokenValues, jwts: [] };
      this.#outcome.lite(chosen.version, shown, () => stream.output.send(reply));
    }
  }

  #agreeIetf(version: IetfDraft, parameters: Uint8Array, stream: ControlStream, input: StreamBuffer): void {
    const draft = draftOf(version);
    this.#version = version;
    const options = ietf.decodeClientSetup(parameters, draft);
    const setup = this.#controlOn(draft, options, stream, input);
    const reply = ietf.encodeServerSetup(this.#ownOptions(draft), draft);
    this.#outcome.ietf(version, setup, () => stream.output.send(reply));
  }

  /** The stream of the setup is that of all requests from now on. */
  #controlOn(
    draft: Draft,
    options: ietf.SetupOptions,
    stream: ControlStream,
    input: StreamBuffer,
  ): IetfSetup {
    const buffer = new ControlBuffer(draft, this.#session.controlMaxBytes);
    buffer.push(input.takeRest());
    let ended = false;
    stream.onInput = (more, fin) => {
      ended = fin;
      this.#keep(buffer, more.takeRest());
    };
    const listen: IetfSetup["listen"] = (onInput, onGone) => {
      stream.onInput = (more, fin) => {
        buffer.push(more.takeRest());
        onInput(buffer, fin);
      };
      stream.onAbort = onGone;
      onInput(buffer, ended);
    };
    return { options, shown: shownBy(options, draft), output: stream.output, listen };
  }

  #sendClientSetup(bidi: BidiStream): void {
    const stream = new ControlStream(this.#session, bidi);
    const named = this.#version && draftOf(this.#version);
    let type: number | undefined;
    stream.onInput = (input) => {
      type ??= input.takeType();
      if (type === undefined) return;
      if (type !== setupServer) throw this.#violation("the answer is not a server's setup");
      const body = input.takeMessage16();
      if (body !== undefined) this.#takeServerSetup(named, body, stream, input);
    };
    stream.onAbort = () => this.#session.close(liveError.cancel, "the session stream was given up");
    // Without a name all are offered; the options are for draft 14, and nobody else minds them.
    const draft = named ?? draftOf(14);
    const own = this.#ownOptions(draft);
    stream.output.send(
      named === undefined
        ? encodeClientSetup(setupVersions, (body) => void ietf.encodeSetupOptions(body, own, draft))
        : ietf.encodeClientSetup(own, named),
    );
  }

  #takeServerSetup(
    named: Draft | undefined,
    body: Uint8Array,
    stream: ControlStream,
    input: StreamBuffer,
  ): void {
    const version = named?.number ?? decodeServerSetup(body, setupVersions);
    if (isIetf(version)) {
      const draft = draftOf(version);
      this.#version = version;
      const options = ietf.decodeServerSetup(body, draft);
      this.#outcome.ietf(version, this.#controlOn(draft, options, stream, input), () => {});
      return;
    }
    stream.onInput = (rest) => void rest.takeRest();
    this.#outcome.lite(version, { path: undefined, tokens: [], jwts: [] }, () => {});
  }

  #violation(message: string): LiveProtocolError {
    return this.#version === undefined ? new LiveProtocolError(message) : new IetfProtocolError(message);
  }

  #guard(use: () => void): void {
    guarded(this.#session, use);
  }
}

/** Runs `use`; a rule that the remote breaks in it ends the session. */
export function guarded(session: Pick<SessionContext, "fail">, use: () => void): void {
  try {
    use();
  } catch (error) {
    if (!(error instanceof LiveProtocolError)) throw error;
    session.fail(error);
  }
}

/** Request ids the remote may use at once: each side has every other one. */
export const maxRequestIdOf = ({ limits }: Pick<SessionContext, "limits">): number =>
  2 * (limits.subscriptionsMax + limits.announcementsMax + limits.watchesMax);

const text = new TextDecoder();

function shownBy({ path, tokens }: ietf.SetupOptions, draft: Draft): ShownAtSetup {
  const jwts: string[] = [];
  for (const token of tokens) {
    // The original relay's clients put a private token there as it is.
    if (decodeSetupToken(token) !== undefined) continue;
    const { type, value } = decodeAuthorizationToken(token, draft);
    if (type === outOfBand) jwts.push(text.decode(value));
  }
  return { path, tokens, jwts };
}
