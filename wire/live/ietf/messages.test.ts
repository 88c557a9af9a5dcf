import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { hex, toHex } from "#tests/support/hex.ts";
import { LiveProtocolError } from "../error-code.ts";
import {
  decodeNamespaceDone,
  decodeNamespaceEntry,
  decodePublishNamespace,
  decodeSubscribeNamespace,
  decodeWithdrawal,
  encodeNamespaceDone,
  encodeNamespaceEntry,
  encodePublishNamespace,
  encodePublishNamespaceDone,
  encodeSubscribeNamespace,
} from "./announce.ts";
import { allDrafts, type Draft, draftOf } from "./draft.ts";
import { decodeFetch, encodeFetchOk } from "./fetch.ts";
import { decodeFilter, encodeNoFilter } from "./filter.ts";
import { decoderOf, encoderOf } from "./integers.ts";
import { ControlBuffer, encodeControl } from "./message.ts";
import {
  decodeGoaway,
  decodeNumber,
  decodeRequestError,
  decodeRequestUpdate,
  encodeGoaway,
  encodeNumber,
  encodeRequestError,
  encodeRequestUpdate,
} from "./request.ts";
import {
  decodeServerSetup,
  decodeSetup,
  decodeSetupOptions,
  encodeClientSetup,
  encodeServerSetup,
  encodeSetup,
} from "./setup.ts";
import {
  decodePublishDone,
  decodeSubscribe,
  decodeSubscribeOk,
  decodeTrackStatus,
  encodePublishDone,
  encodeSubscribe,
  encodeSubscribeOk,
} from "./subscribe.ts";
import { decodeAuthorizationToken } from "./token.ts";

const same = (bytes: Uint8Array, text: string) => assert.equal(toHex(bytes), text.replaceAll(" ", ""));

/** The body of a message, as a stream would hand it over. */
function bodyOf(message: Uint8Array, draft: Draft): Uint8Array {
  const buffer = new ControlBuffer(draft, 65_536);
  buffer.push(message);
  return buffer.takeMessage()!.body;
}

const vectors = {
  setup: {
    14: "20 0010 01 c0000000ff00000e 02 02 4064 07 01 78",
    16: "20 0007 02 02 4064 05 01 78",
    18: "af00 0003 07 01 78",
    20: "af00 0003 07 01 78",
  },
  subscribe: {
    14: "03 0017 00 02 04726f6f6d 0363616d 0463686174 05 02 01 03 00 00 00",
    16: "03 001c 00 02 04726f6f6d 0363616d 0463686174 04 1001 1005 0103030000 0102",
    18: "03 001c 00 02 04726f6f6d 0363616d 0463686174 04 1001 1005 0103030000 0102",
    20: "03 0019 00 02 04726f6f6d 0363616d 0463686174 04 1001 1005 0100 0102",
  },
  subscribeOk: {
    14: "04 0006 00 02 00 02 00 00",
    16: "04 0003 00 02 00",
    18: "04 0002 02 00",
    20: "04 0002 02 00",
  },
  subscribeNamespace: {
    14: "11 0008 00 01 04726f6f6d 00",
    16: "11 0009 00 01 04726f6f6d 01 00",
    18: "50 0008 00 01 04726f6f6d 00",
    20: "50 0008 00 01 04726f6f6d 00",
  },
} as const;

describe("messages of moq-transport, as published clients write them", () => {
  for (const number of [14, 16, 18, 20] as const) {
    const draft = draftOf(number);

    test(`draft ${number}`, () => {
      const options = { maxRequestId: 100, implementation: "x" };
      const setup = draft.requestStreams ? encodeSetup : encodeClientSetup;
      same(setup(options, draft), vectors.setup[number]);

      const filter = number === 20 ? new Uint8Array() : hex("030000");
      const subscribe = {
        id: 0,
        namespace: "room/cam",
        track: "chat",
        priority: 5,
        ascending: false,
        filter,
      };
      const message = encodeSubscribe(subscribe, draft);
      same(message, vectors.subscribe[number]);
      assert.deepEqual(decodeSubscribe(bodyOf(message, draft), draft), {
        id: 0,
        namespace: "room/cam",
        track: "chat",
        priority: 5,
        ascending: false,
        forward: true,
        filter: { kind: "relative", back: 1 },
      });

      const ok = { alias: 2n, properties: {} };
      same(encodeSubscribeOk(0, ok, draft), vectors.subscribeOk[number]);
      same(encodePublishNamespace(0, "room/cam", undefined, draft), "06 000c 00 02 04726f6f6d 0363616d 00");
      same(encodeSubscribeNamespace(0, "room", draft), vectors.subscribeNamespace[number]);
    });
  }

  test("a location among parameters is read with a length before it and without, by what follows", () => {
    const draft = draftOf(20);
    for (const largest of ["0205", "02 0205"]) {
      const body = hex(`02 01 09 ${largest} 08 87d0 1a 02`);
      const { properties } = decodeSubscribeOk(body, draft);
      assert.deepEqual(properties, { timescale: 2_000, ascending: false });
    }
  });
});

describe("filters", () => {
  test("of a type: the next group, the latest, from a group on, a range", () => {
    const read = (text: string, number: 14 | 17) => decodeFilter(hex(text), draftOf(number));
    assert.deepEqual(read("01", 14), { kind: "relative", back: 0 });
    assert.deepEqual(read("02", 17), { kind: "relative", back: 1 });
    assert.deepEqual(read("030500", 14), { kind: "absolute", start: 5, end: undefined });
    assert.deepEqual(read("04050009", 14), { kind: "absolute", start: 5, end: 9 });
    assert.deepEqual(read("04050004", 17), { kind: "absolute", start: 5, end: 9 });
    for (const bad of ["05", "04050004", "0100", "03"]) {
      assert.throws(() => read(bad, 14), LiveProtocolError, bad);
    }
  });

  test("by the number of their fields", () => {
    const read = (text: string) => decodeFilter(hex(text), draftOf(20));
    assert.deepEqual(read(""), { kind: "relative", back: 1 });
    assert.deepEqual(read("03"), { kind: "relative", back: 3 });
    assert.deepEqual(read("0000"), { kind: "relative", back: 1 });
    assert.deepEqual(read("000001"), { kind: "absolute", start: 0, end: 1 });
    assert.deepEqual(read("07000207"), { kind: "absolute", start: 7, end: 9 });
    assert.throws(() => read("0700020701"), LiveProtocolError);
  });
});

describe("integers whose leading ones tell their length", () => {
  const draft = draftOf(18);

  test("as the draft has them", () => {
    for (const [text, value] of [
      ["25", 37],
      ["8025", 37],
      ["c0ff00", 65_280],
      ["fc000000000100", 256],
      ["fe00000000000100", 256],
      ["ff0000000000000100", 256],
    ] as const) {
      assert.equal(decoderOf(hex(text), draft).varint(), value, text);
      assert.equal(decoderOf(hex(text), draft).bigVarint(), BigInt(value), text);
    }
    assert.throws(() => decoderOf(hex("fc000000000100"), draftOf(17)).varint(), LiveProtocolError);
  });

  test("what is written is read, in the fewest bytes everybody reads", () => {
    const sizes = [7, 14, 21, 28, 35, 42];
    fc.assert(
      fc.property(
        fc.maxSafeNat(),
        fc.bigInt(0n, (1n << 64n) - 1n),
        fc.integer({ min: 0, max: 52 }),
        (number, big, shift) => {
          const value = Math.floor(number / 2 ** shift);
          const bytes = encoderOf(draft).varint(value).finish();
          const fewest = sizes.findIndex((bits) => value < 2 ** bits);
          assert.equal(bytes.length, fewest < 0 ? 8 : fewest + 1);
          assert.equal(decoderOf(bytes, draft).varint(), value);
          assert.equal(decoderOf(encoderOf(draft).bigVarint(big).finish(), draft).bigVarint(), big);
        },
      ),
    );
  });
});

const field = fc
  .string({ unit: "grapheme", minLength: 1, maxLength: 12 })
  .filter((text) => !text.includes("/"));
const path = fc.array(field, { minLength: 1, maxLength: 6 }).map((fields) => fields.join("/"));

describe("what is encoded decodes to itself", () => {
  for (const draft of allDrafts) {
    test(`draft ${draft.number}`, () => {
      fc.assert(
        fc.property(
          path,
          field,
          fc.nat(),
          fc.nat({ max: 255 }),
          fc.bigInt(1n, (1n << 62n) - 1n),
          (name, track, number, byte, big) => {
            const hops = draft.hopPath ? [big, 0n, 0n] : [];
            const announced = draft.hopPath ? hops : undefined;
            const body = (message: Uint8Array) => bodyOf(message, draft);

            const filter = encodeNoFilter(draft);
            const wanted = { id: number, namespace: name, track, priority: byte, ascending: true };
            assert.deepEqual(decodeSubscribe(body(encodeSubscribe({ ...wanted, filter }, draft)), draft), {
              ...wanted,
              forward: true,
              filter: { kind: "relative", back: 1 },
            });
            const publish = encodePublishNamespace(number, name, announced, draft);
            const published = decodePublishNamespace(body(publish), draft, draft.hopPath);
            assert.deepEqual(published, { id: number, namespace: name, hops });
            const ask = decodeSubscribeNamespace(body(encodeSubscribeNamespace(number, name, draft)), draft);
            assert.deepEqual(ask, { id: number, prefix: name, wantsNamespaces: true });
            const entry = decodeNamespaceEntry(
              body(encodeNamespaceEntry(name, announced, draft)),
              draft,
              draft.hopPath,
            );
            assert.deepEqual(entry, { suffix: name, hops });
            assert.equal(decodeNamespaceDone(body(encodeNamespaceDone(name, draft)), draft), name);
            assert.deepEqual(
              decodeWithdrawal(body(encodePublishNamespaceDone(number, name, draft)), draft),
              draft.namespaceIds ? { id: number } : { namespace: name },
            );
            const done = { status: 2, streams: number, reason: track };
            assert.deepEqual(decodePublishDone(body(encodePublishDone(byte, done, draft)), draft), done);
            const error = encodeRequestError("subscribe", byte, "does_not_exist", track, draft);
            assert.deepEqual(decodeRequestError(body(error), draft), {
              code: draft.fixedFields ? 0x4 : 0x10,
              reason: track,
            });
            const update = {
              id: number,
              existing: draft.requestStreams ? undefined : byte,
              subscriberPriority: byte,
              forward: false,
            };
            assert.deepEqual(decodeRequestUpdate(body(encodeRequestUpdate(update, draft)), draft), update);
            const ok = decodeSubscribeOk(
              body(
                encodeSubscribeOk(
                  byte,
                  { alias: big, properties: { timescale: 90_000, ascending: true } },
                  draft,
                ),
              ),
              draft,
            );
            assert.equal(ok.alias, big);
            assert.equal(ok.properties.timescale, draft.trackProperties === "written" ? 90_000 : undefined);
            assert.equal(decodeGoaway(body(encodeGoaway(name, draft)), draft), name);
            assert.equal(decodeNumber(body(encodeNumber(0x0a, number, draft)), draft), number);

            const options = {
              path: `/${name}`,
              tokens: [hex("0300aa"), hex("0300bb")],
              solicit: true,
              ...(draft.requestStreams ? {} : { maxRequestId: number }),
              ...(draft.hopPath ? { hop: big } : {}),
            };
            const read = draft.requestStreams
              ? decodeSetup(body(encodeSetup(options, draft)), draft)
              : decodeServerSetup(body(encodeServerSetup(options, draft)), draft);
            assert.deepEqual(read, options);
          },
        ),
        { numRuns: 50 },
      );
    });
  }
});

describe("names", () => {
  const draft = draftOf(18);
  test("that are no path of ours are read, and stand for nothing", () => {
    for (const namespace of ["01 01 2f", "01 00", "01 01 ff", "02 0161 00"]) {
      const body = hex(`00 ${namespace} 00`);
      assert.equal(decodePublishNamespace(body, draft, false).namespace, undefined, namespace);
    }
    assert.throws(() => decodePublishNamespace(hex("00 21"), draft, false), LiveProtocolError);
  });

  test("a hop path is a must where it was agreed on, and has nobody twice", () => {
    assert.throws(() => decodePublishNamespace(hex("00 01 0161 00"), draft, true), LiveProtocolError);
    const twice = hex("00 01 0161 01 c40b57 02 0505");
    assert.throws(() => decodePublishNamespace(twice, draft, true), LiveProtocolError);
  });
});

describe("an authorization token", () => {
  const draft = draftOf(16);
  test("comes by value, registered or not", () => {
    assert.deepEqual(decodeAuthorizationToken(hex("03 00 6869"), draft), { type: 0, value: hex("6869") });
    assert.deepEqual(decodeAuthorizationToken(hex("01 07 00 6869"), draft), { type: 0, value: hex("6869") });
  });

  test("by an alias is unknown, cut off malformed", () => {
    const codeOf = (text: string) => {
      try {
        decodeAuthorizationToken(hex(text), draft);
      } catch (error) {
        return (error as LiveProtocolError).code;
      }
      return undefined;
    };
    assert.equal(codeOf("02 07"), 0x17);
    assert.equal(codeOf("00 07"), 0x17);
    assert.equal(codeOf("03"), 0x16);
    assert.equal(codeOf(""), 0x16);
  });
});

describe("whatever bytes come", () => {
  const decoders: ((bytes: Uint8Array, draft: Draft) => unknown)[] = [
    (bytes, draft) => decodeSetupOptions(decoderOf(bytes, draft), draft),
    decodeServerSetup,
    decodeSubscribe,
    decodeSubscribeOk,
    decodeTrackStatus,
    decodePublishDone,
    (bytes, draft) => decodePublishNamespace(bytes, draft, draft.hopPath),
    (bytes, draft) => decodePublishNamespace(bytes, draft, false),
    (bytes, draft) => decodeNamespaceEntry(bytes, draft, draft.hopPath),
    decodeNamespaceDone,
    decodeSubscribeNamespace,
    decodeWithdrawal,
    decodeRequestError,
    decodeRequestUpdate,
    decodeNumber,
    decodeGoaway,
    decodeFilter,
    decodeFetch,
    decodeAuthorizationToken,
  ];

  test("a decoder answers or throws LiveProtocolError", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), fc.constantFrom(...allDrafts), (bytes, draft) => {
        for (const decode of decoders) {
          try {
            decode(bytes, draft);
          } catch (error) {
            assert.ok(error instanceof LiveProtocolError, String(error));
          }
        }
      }),
      { numRuns: 2_000 },
    );
  });

  test("messages come out of a stream whole, however it is cut", () => {
    const message = fc.record({ type: fc.nat(), body: fc.uint8Array({ maxLength: 100 }) });
    fc.assert(
      fc.property(
        fc.array(message, { maxLength: 5 }),
        fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 }),
        fc.constantFrom(...allDrafts),
        (messages, cuts, draft) => {
          const stream = Buffer.concat(
            messages.map(({ type, body }) => encodeControl(draft, type, (to) => to.raw(body))),
          );
          const buffer = new ControlBuffer(draft, 1024);
          const out: unknown[] = [];
          for (let at = 0, turn = 0; at < stream.length; turn++) {
            const next = at + cuts[turn % cuts.length]!;
            buffer.push(stream.subarray(at, next));
            at = next;
            for (let taken = buffer.takeMessage(); taken; taken = buffer.takeMessage()) {
              out.push([taken.type, toHex(taken.body)]);
            }
          }
          assert.deepEqual(
            out,
            messages.map(({ type, body }) => [type, toHex(body)]),
          );
        },
      ),
    );
  });

  test("a message beyond the limit is refused before anything of it arrives", () => {
    const buffer = new ControlBuffer(draftOf(18), 1024);
    buffer.push(hex("03 0401"));
    assert.throws(() => buffer.takeMessage(), LiveProtocolError);
  });
});

describe("FETCH", () => {
  test("of a range, of what joins a subscription, of a filter", () => {
    const names = "01 0161 0162";
    assert.deepEqual(decodeFetch(hex(`00 80 01 01 ${names} 02 00 05 03 00`), draftOf(14)), {
      id: 0,
      descending: false,
      range: {
        kind: "standalone",
        namespace: "a",
        track: "b",
        start: { group: 2, object: 0 },
        end: { group: 5, object: 3 },
      },
    });
    assert.deepEqual(decodeFetch(hex("02 02 00 03 00"), draftOf(16)), {
      id: 2,
      descending: false,
      range: { kind: "joining", subscription: 0, relative: true, start: 3 },
    });
    assert.deepEqual(decodeFetch(hex("02 03 00 03 01 22 02"), draftOf(18)), {
      id: 2,
      descending: true,
      range: { kind: "joining", subscription: 0, relative: false, start: 3 },
    });
    assert.deepEqual(decodeFetch(hex(`00 ${names} 01 21 03 020003`), draftOf(20)), {
      id: 0,
      descending: false,
      range: { kind: "filtered", namespace: "a", track: "b", filter: { kind: "absolute", start: 2, end: 5 } },
    });
  });

  test("FETCH_OK says where the answer ends", () => {
    const ok = { endOfTrack: false, end: { group: 5, object: 3 }, properties: {} };
    same(encodeFetchOk(2, ok, draftOf(14)), "18 0006 02 01 00 05 03 00");
    same(encodeFetchOk(2, ok, draftOf(16)), "18 0005 02 00 05 03 00");
    same(encodeFetchOk(2, ok, draftOf(18)), "18 0004 00 05 03 00");
  });
});
