/** A request line and its headers (RFC 9112, 3 and 5). */
export interface RequestHead {
  readonly method: string;
  /** As sent: origin-form, absolute-form or asterisk-form. */
  readonly target: string;
  /** HTTP/1.`minor`. */
  readonly minor: 0 | 1;
  /** Names lower case. A header that came twice is joined by commas, or the first one counts where a list makes no sense. */
  readonly headers: ReadonlyMap<string, string>;
  /** How long the body is: in bytes, or told by its chunks. */
  readonly bodyLength: number | "chunked";
}

/** A request that cannot be understood or is not worth it; its connection ends with the answer. */
export class BadHead extends Error {
  override readonly name = "BadHead";
  readonly status: 400 | 431 | 505;

  constructor(status: 400 | 431 | 505, message: string) {
    super(message);
    this.status = status;
  }
}

/** More than this is nobody's honest request. */
const maxHeaders = 100;

// A target may hold raw bytes above 0x7F, as the original relay has it; never spaces or controls.
const requestLine = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32}) ([!-~\x80-\xff]+) HTTP\/(\d)\.(\d)$/;
const headerLine = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([\t -~\x80-\xff]*)$/;

/** Where two of a kind are one too many: the first counts, as most servers have it. */
const firstCounts = new Set([
  "authorization",
  "content-type",
  "from",
  "if-modified-since",
  "origin",
  "referer",
  "user-agent",
]);

/**
 * Parses the text before the empty line, Latin-1, without its last line break.
 *
 * Strict where leniency would let two readers of the same bytes disagree (RFC 9112, 11.2): no folded lines, no space
 * before a colon, one `Content-Length`, never both it and `Transfer-Encoding`. Throws `BadHead`.
 */
export function parseHead(text: string): RequestHead {
  const lines = text.split("\r\n");
  const start = requestLine.exec(lines[0]!);
  if (!start) throw new BadHead(400, "malformed request line");
  if (start[3] !== "1" || (start[4] !== "0" && start[4] !== "1"))
    throw new BadHead(505, "unsupported version");
  if (lines.length - 1 > maxHeaders) throw new BadHead(431, "too many headers");

  const headers = new Map<string, string>();
  for (let at = 1; at < lines.length; at++) {
    const line = headerLine.exec(lines[at]!);
    if (!line) throw new BadHead(400, "malformed header");
    const name = line[1]!.toLowerCase();
    const value = line[2]!.trimEnd();
    const before = headers.get(name);
    if (before === undefined) headers.set(name, value);
    else if (name === "host" || name === "content-length" || name === "transfer-encoding") {
      throw new BadHead(400, `repeated ${name}`);
    } else if (!firstCounts.has(name))
      headers.set(name, `${before}${name === "cookie" ? "; " : ", "}${value}`);
  }
  const minor = start[4] === "1" ? 1 : 0;
  return { method: start[1]!, target: start[2]!, minor, headers, bodyLength: bodyLengthOf(headers, minor) };
}

/** RFC 9112, 6.3, of a request. */
function bodyLengthOf(headers: ReadonlyMap<string, string>, minor: 0 | 1): number | "chunked" {
  const length = headers.get("content-length");
  const coding = headers.get("transfer-encoding");
  if (coding !== undefined) {
    if (length !== undefined || minor === 0) throw new BadHead(400, "ambiguous body length");
    if (coding.toLowerCase() !== "chunked") throw new BadHead(400, "unsupported transfer coding");
    return "chunked";
  }
  if (length === undefined) return 0;
  if (!/^\d{1,15}$/.test(length)) throw new BadHead(400, "malformed content-length");
  return Number(length);
}

/** Does a comma-separated header such as `Connection` hold this token? */
export function hasToken(value: string | undefined, token: string): boolean {
  if (value === undefined) return false;
  const lower = value.toLowerCase();
  return lower === token || lower.split(",").some((part) => part.trim() === token);
}
