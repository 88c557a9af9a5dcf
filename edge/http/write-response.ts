import type { ServerResponse } from "node:http";
import { type Delivery, Reply, settle } from "#wire/http/reply.ts";
import type { NodeResponse } from "./edge-request.ts";
import { atTurnEnd, joinMaxBytes, latin1 } from "./small-writes.ts";

/** Writes a response out and tells its handler what became of it. */
export function writeResponse(response: Response, to: NodeResponse, head: boolean): Promise<void> {
  return response instanceof Reply ? writeReply(response, to, head) : writeStream(response, to, head);
}

function writeReply(reply: Reply, to: NodeResponse, head: boolean): Promise<void> {
  const { payload } = reply;
  const headers: Record<string, string | number | string[]> = {};
  for (const [name, value] of reply.headerList) setHeader(headers, name, value);
  headers["content-length"] =
    payload === null ? 0 : typeof payload === "string" ? Buffer.byteLength(payload) : payload.byteLength;
  if (to.destroyed) {
    reply.settle("lost");
    return Promise.resolve();
  }
  return new Promise((resolve) => {
    let settled = false;
    const once = (delivery: Delivery) => {
      if (settled) return;
      settled = true;
      reply.settle(delivery);
      resolve();
    };
    // "finish": all bytes were handed to the operating system. A reset that came before shows as "close" alone.
    to.once("finish", () => once("sent"));
    to.once("close", () => once("lost"));
    atTurnEnd(() => {
      if (to.destroyed) return;
      writeHead(to, reply.status, headers);
      if (head || payload === null) to.end();
      else if (typeof payload === "string" || payload.byteLength > joinMaxBytes) to.end(payload);
      else to.end(latin1(payload), "latin1");
    });
  });
}

async function writeStream(response: Response, to: NodeResponse, head: boolean): Promise<void> {
  const headers: Record<string, string | string[]> = {};
  response.headers.forEach((value, name) => {
    setHeader(headers, name, value);
  });
  const reader = response.body?.getReader();
  const gone = new Promise<"gone">((resolve) => to.once("close", () => resolve("gone")));
  let delivery: Delivery = "lost";
  try {
    writeHead(to, response.status, headers);
    if (!head) {
      for (;;) {
        const next = await Promise.race([reader?.read(), gone]);
        if (next === "gone") return;
        if (!next || next.done) break;
        const drained =
          (to as ServerResponse).write(next.value) ||
          new Promise<void>((resolve) => to.once("drain", resolve));
        if ((await Promise.race([drained, gone])) === "gone") return;
      }
    }
    to.end();
    delivery = "sent";
  } finally {
    // A source that nobody reads any more is told so, so that it lets go of what it holds.
    await reader?.cancel().catch(() => {});
    settle(response, delivery);
  }
}

function setHeader(headers: Record<string, string | number | string[]>, name: string, value: string): void {
  const before = headers[name];
  if (before === undefined) headers[name] = value;
  else headers[name] = Array.isArray(before) ? [...before, value] : [String(before), value];
}

function writeHead(
  to: NodeResponse,
  status: number,
  headers: Record<string, string | number | string[]>,
): void {
  // What is left of a body that was refused is not worth reading: the connection ends with the answer.
  // HTTP/2 has no such header; it resets the stream by itself.
  const { req } = to;
  if (req.method === "POST" && !req.complete && req.httpVersionMajor === 1) headers.connection = "close";
  (to as ServerResponse).writeHead(status, headers);
}
