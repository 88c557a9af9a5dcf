import { STATUS_CODES } from "node:http";
import type { HeaderList } from "#wire/http/reply.ts";

export const continueText = "HTTP/1.1 100 Continue\r\n\r\n";

const statusLines = new Map<number, string>();
let date = { second: -1, text: "" };

function statusLine(status: number): string {
  let line = statusLines.get(status);
  if (line === undefined) {
    line = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}\r\n`;
    statusLines.set(status, line);
  }
  return line;
}

function dateText(): string {
  const second = Math.floor(Date.now() / 1000);
  if (second !== date.second) date = { second, text: new Date(second * 1000).toUTCString() };
  return date.text;
}

/**
 * The head of an answer, the empty line included. `length` undefined leaves the framing to the headers given.
 *
 * Throws a `TypeError` for a value that would end its line: a header is never made of what a remote sent unchecked, and
 * if it ever were, it would end here.
 */
export function headText(
  status: number,
  headers: Readonly<HeaderList>,
  length: number | undefined,
  connection: string | undefined,
): string {
  let text = statusLine(status);
  for (const [name, value] of headers) {
    // Whether the connection goes on is decided here alone.
    if (name === "connection") continue;
    if (/[^\t -~\x80-\xff]/.test(value)) throw new TypeError(`the header ${name} holds what no header may`);
    text += `${name}: ${value}\r\n`;
  }
  // These two never have a body, and a length would be about another answer (RFC 9110, 8.6).
  if (length !== undefined && status !== 204 && status !== 304) text += `content-length: ${length}\r\n`;
  if (connection !== undefined) text += `connection: ${connection}\r\n`;
  return `${text}date: ${dateText()}\r\n\r\n`;
}
