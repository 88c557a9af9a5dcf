/** Cases of live as seen from outside: the handshake, the framing, and what breaks a session. See live-announce.test.ts. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect as connectTcp } from "node:net";
import { describe } from "node:test";
import type WebSocket from "ws";
import { hex } from "#tests/support/hex.ts";
import { messageOf } from "#tests/support/live-peer.ts";
import { knock } from "#tests/support/raw-websocket.ts";
import { type LiveScene, liveCase, oursCase, singleCase } from "./live-case.ts";
import type { Dialect } from "./live-relay.ts";

const lite = (version: number) => `c0000000ff0dad0${version}`;
const unknownDraft = "c0000000ff0000fe";
const isSetup = ({ version }: Dialect) => version <= 2;
const isQmux = ({ subprotocol }: Dialect) => subprotocol?.startsWith("qmux") ?? false;

/** What `@moq/net` 0.3.4 offers, in its order. */
const offeredByMoqNet = [
  ...["moq-lite-05", "moq-lite-04", "moq-lite-03", "moql", "moqt-17", "moqt-16", "moqt-15"].flatMap(
    (version) => ["qmux-02", "qmux-01", "qmux-00"].map((framing) => `${framing}.${version}`),
  ),
  ...["qmux-01.moqt-20", "qmux-01.moqt-18", "qmux-02", "qmux-01", "qmux-00", "webtransport"],
];

/** Sends messages of its own making, and tells how the relay ends the connection. */
async function send(
  scene: LiveScene,
  subprotocol: string,
  ...messages: (Uint8Array | string)[]
): Promise<Uint8Array[]> {
  const seen: Buffer[] = [];
  let closed: Promise<unknown> | undefined;
  await knock(scene.url(), [subprotocol], {
    onOpen(socket: WebSocket) {
      socket.on("message", (data: Buffer) => seen.push(data));
      closed = once(socket, "close");
      for (const message of messages) socket.send(message);
    },
  });
  await closed;
  return seen;
}

/** The transport close (1c) or application close (1d) that ends the messages of a relay, as its code. */
const closeIn = (messages: Uint8Array[], type: 0x1c | 0x1d): number | undefined => {
  const last = messages.at(-1);
  if (last === undefined) return undefined;
  for (let at = 0; at < last.length; at++) if (last[at] === type) return last[at + 1];
  return undefined;
};

describe("the handshake", { concurrency: 6 }, () => {
  singleCase("1 subprotocols that nobody knows are answered 400", {}, async ({ url }) => {
    assert.equal((await knock(url(), ["chat", "superchat"])).status, 400);
    assert.equal((await knock(url(), ["qmux-07.moq-lite-05"])).status, 400);
  });

  singleCase("2 where none is offered it is the older framing, and SETUP is answered", {}, async (scene) => {
    const { status, chosen, socket } = await knock(scene.url(), []);
    assert.deepEqual({ status, chosen }, { status: 101, chosen: "" });
    // A frame of the older framing a message: stream 0, the SETUP of a client that speaks 02.
    socket!.send(hex(`08 00 20000a01${lite(2)}00`));
    let answer = "";
    while (!answer.startsWith("080021"))
      [answer] = (await once(socket!, "message")).map((data) => data.toString("hex"));
    assert.equal(answer.slice(0, 30), `0800210009${lite(2)}00`.slice(0, 30));
    socket!.terminate();
  });

  singleCase("3 what the relay likes best is chosen", {}, async ({ url }) => {
    const { chosen, socket } = await knock(url(), ["webtransport", "qmux-00.moq-lite-04"]);
    socket?.terminate();
    assert.equal(chosen, "qmux-00.moq-lite-04");
  });

  singleCase(
    "4 of all that @moq/net offers it is the newest",
    { theirsDiffers: "it knows qmux-02 only without a version" },
    async ({ url }) => {
      const { chosen, socket } = await knock(url(), offeredByMoqNet);
      socket?.terminate();
      assert.equal(chosen, "qmux-02.moq-lite-05");
    },
  );

  singleCase("a target that is no URL is refused, and the relay lives", {}, async ({ relay, url }) => {
    const { hostname, port } = new URL(relay.url);
    for (const target of ["//", "//[", "*"]) {
      const socket = connectTcp(Number(port), hostname);
      socket.write(
        `GET ${target} HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n` +
          "sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\nsec-websocket-protocol: webtransport\r\n\r\n",
      );
      const [answer] = await Promise.race([once(socket, "data"), once(socket, "close").then(() => [""])]);
      assert.doesNotMatch(String(answer), /^HTTP\/1\.1 5/);
      socket.destroy();
    }
    (await knock(url(), ["webtransport"])).socket?.terminate();
  });
});

describe("SETUP", { concurrency: 6 }, () => {
  liveCase("5 the first version of the client's list is chosen", { over: isSetup }, async (scene, over) => {
    for (const [versions, chosen] of [
      [[lite(2), lite(1)], lite(2)],
      [[lite(1), lite(2)], lite(1)],
      [[unknownDraft, lite(1)], lite(1)],
    ] as const) {
      const peer = await scene.connect(over, { bare: true });
      const setup = peer.session.bidi(hex(`20 0012 02 ${versions.join("")} 00`));
      await peer.session.until(() => setup.bytes.length >= 12, "the answer to SETUP");
      assert.equal(setup.hex.slice(0, 22), `210009${chosen}`);
    }
  });

  liveCase(
    "6 versions that nobody here speaks close the session with 9",
    { over: isSetup, theirsDiffers: "the code is 21" },
    async (scene, over) => {
      const peer = await scene.connect(over, { bare: true });
      peer.session.bidi(hex(`20 000a 01 ${unknownDraft} 00`));
      await peer.session.until(() => peer.session.ended, "the close");
      assert.equal(peer.session.end?.code, 9);
    },
  );

  oursCase(
    "7 a session that says nothing is closed with 3",
    ["--live-setup-timeout", "200ms"],
    async (scene) => {
      for (const subprotocol of ["webtransport", "qmux-01.moql"]) {
        const peer = await scene.connect({ name: "", subprotocol, version: 2 }, { bare: true });
        await peer.session.until(() => peer.session.ended, "the close");
        assert.equal(peer.session.end?.code, 3);
      }
    },
  );

  const isNewest = ({ version }: Dialect) => version >= 5;

  liveCase("34 an unknown parameter is passed over", { over: isNewest }, async (scene, over) => {
    const peer = await scene.connect(over, { bare: true });
    peer.session.uni(hex("01 06 01 4321 02 ffff"), true);
    const watch = peer.watch("");
    await peer.session.until(() => watch.first !== undefined, "an answer");
  });

  liveCase(
    "34 a parameter twice closes with 15",
    { over: isNewest, theirsDiffers: "it closes with another code" },
    async (scene, over) => {
      const peer = await scene.connect(over, { bare: true });
      peer.session.uni(hex("01 07 02 010101 010101"), true);
      await peer.session.until(() => peer.session.ended, "the close");
      assert.equal(peer.session.end?.code, 15);
    },
  );

  liveCase(
    "34 a second SETUP closes with 15",
    { over: isNewest, theirsDiffers: "it closes with another code" },
    async (scene, over) => {
      const peer = await scene.connect(over);
      peer.session.uni(hex("01 01 00"), true);
      await peer.session.until(() => peer.session.ended, "the close");
      assert.equal(peer.session.end?.code, 15);
    },
  );
});

describe("streams", { concurrency: 6 }, () => {
  liveCase(
    "33 unknown types are refused with 17, and the session lives",
    { theirsDiffers: "the codes are 1 and 0" },
    async (scene, over) => {
      const peer = await scene.connect(over);
      const bidi = peer.session.bidi(hex("2a 00"));
      const uni = peer.session.uni(hex("2a 00"));
      await peer.session.until(() => bidi.over && uni.stopped !== undefined, "both refusals");
      assert.deepEqual([bidi.reset, uni.stopped], [17, 17]);
      const watch = peer.watch("");
      const other = await scene.connect(over);
      other.publish("alive");
      await peer.session.until(() => watch.diary.length === 1, "an announcement");
    },
  );

  liveCase("35 a message cut at every byte is the same message", {}, async (scene, over) => {
    const publisher = await scene.connect(over);
    publisher.publish("room/cam");
    const peer = await scene.connect(over);
    const watch = peer.watch("");
    await peer.session.until(() => watch.diary.length === 1, "the announcement");
    const options = over.version >= 3 ? "00000000" : "";
    const body = hex(`05 08 726f6f6d2f63616d 01 76 07 ${options}`);
    const message = Buffer.concat([hex("02"), messageOf(body)]);
    const stream = peer.session.bidi(message.subarray(0, 1));
    for (let at = 1; at < message.length; at++) stream.more(message.subarray(at, at + 1));
    const { request } = await publisher.askedFor();
    assert.deepEqual([request.broadcast, request.track], ["room/cam", "v"]);
  });

  liveCase(
    "36 a length beyond all bounds closes the session",
    { theirsDiffers: "it waits for the bytes" },
    async (scene, over) => {
      const peer = await scene.connect(over);
      peer.session.bidi(hex("02 c000010000000000"));
      await peer.session.until(() => peer.session.ended, "the close");
      assert.ok([5, 27].includes(peer.session.end!.code), `code ${peer.session.end!.code}`);
    },
  );
});

describe("qmux", { concurrency: 6 }, () => {
  const framingOf = ({ subprotocol }: Dialect) => subprotocol!.split(".")[0]!;
  const once5 = (over: Dialect) => over.version === 5 && isQmux(over);
  const parameters = "ff5153300d0a0d0a";

  liveCase("37 a parameter twice closes the connection", { over: once5 }, async (scene, { subprotocol }) => {
    const seen = await send(scene, subprotocol!, hex(`${parameters} 06 0401 3f 0401 3f`));
    assert.notEqual(closeIn(seen, 0x1c), undefined);
  });

  liveCase(
    "37 a parameter that is not allowed closes the connection",
    { over: once5 },
    async (scene, { subprotocol }) => {
      const seen = await send(scene, subprotocol!, hex(`${parameters} 03 02 01 01`));
      assert.notEqual(closeIn(seen, 0x1c), undefined);
    },
  );

  liveCase(
    "37 parameters a second time close the connection",
    { over: once5 },
    async (scene, { subprotocol }) => {
      const seen = await send(scene, subprotocol!, hex(`${parameters} 00`), hex(`${parameters} 00`));
      assert.notEqual(closeIn(seen, 0x1c), undefined);
    },
  );

  liveCase(
    "37 more streams than allowed close the connection",
    { over: once5 },
    async (scene, { subprotocol }) => {
      const far = "c000000010000002";
      const seen = await send(scene, subprotocol!, hex(`${parameters} 00`), hex(`0e ${far} 00 01 2a`));
      assert.notEqual(closeIn(seen, 0x1c), undefined);
    },
  );

  liveCase(
    "37 data beyond the window closes the connection",
    { over: once5, theirsDiffers: "it hangs up without a word" },
    async (scene, over) => {
      const far = hex("0e 02 bfffffff 01 00");
      const seen = await send(scene, over.subprotocol!, hex(`${parameters} 00`), far);
      assert.notEqual(closeIn(seen, 0x1c), undefined);
    },
  );

  liveCase(
    "37 qmux-02 wants its parameters first",
    { over: (over) => once5(over) && framingOf(over) === "qmux-02" },
    async (scene, { subprotocol }) => {
      const seen = await send(scene, subprotocol!, hex("0e 02 00 01 2a"));
      assert.notEqual(closeIn(seen, 0x1c), undefined);
    },
  );

  liveCase("text messages close the connection", { over: once5 }, async (scene, { subprotocol }) => {
    await send(scene, subprotocol!, "hello");
  });
});

describe("the older framing", { concurrency: 6 }, () => {
  singleCase("39 a close frame closes the WebSocket", {}, async (scene) => {
    await send(scene, "webtransport", hex("1d 04 627965"));
  });

  singleCase("a frame of an unknown type closes it too", {}, async (scene) => {
    await send(scene, "webtransport", hex("3f 04"));
  });
});
