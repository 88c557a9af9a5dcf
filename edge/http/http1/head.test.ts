import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { BadHead, hasToken, parseHead } from "./head.ts";

const parse = (...lines: string[]) => parseHead(lines.join("\r\n"));
const refused = (status: number, ...lines: string[]) =>
  assert.throws(
    () => parse(...lines),
    (error) => error instanceof BadHead && error.status === status,
    lines.join(" | "),
  );

describe("a request's head", () => {
  test("is its line and its headers, names lower case, values without the space around them", () => {
    const head = parse(
      "POST /inbox/a%2Fb?x=1 HTTP/1.1",
      "Host: h",
      "Content-TYPE:\t text/x; a=b \t",
      "content-length: 12",
      "x-empty:",
    );
    assert.equal(head.method, "POST");
    assert.equal(head.target, "/inbox/a%2Fb?x=1");
    assert.equal(head.minor, 1);
    assert.deepEqual(
      [...head.headers],
      [
        ["host", "h"],
        ["content-type", "text/x; a=b"],
        ["content-length", "12"],
        ["x-empty", ""],
      ],
    );
    assert.equal(head.bodyLength, 12);
  });

  test("takes targets and values with bytes above 0x7F, and any token as a method", () => {
    const head = parse("FOO /inbox/\xc3\xa9 HTTP/1.0", "x: \xff");
    assert.equal(head.target, "/inbox/\xc3\xa9");
    assert.equal(head.headers.get("x"), "\xff");
    assert.equal(head.minor, 0);
    assert.equal(head.bodyLength, 0);
  });

  test("joins a header that came twice, or takes the first where a list makes no sense", () => {
    const { headers } = parse(
      "GET / HTTP/1.1",
      "accept: a",
      "accept: b",
      "content-type: one",
      "content-type: two",
      "cookie: c",
      "cookie: d",
    );
    assert.equal(headers.get("accept"), "a, b");
    assert.equal(headers.get("content-type"), "one");
    assert.equal(headers.get("cookie"), "c; d");
  });

  test("is refused wherever two readers could disagree about it", () => {
    const line = "POST / HTTP/1.1";
    for (const header of [
      "no colon",
      "space before : x",
      " folded",
      "x\x00: y",
      "x: a\x00b",
      "x: a\rb",
      "x: a\nb",
      ": no name",
      "ü: x",
      "content-length: 1x",
      "content-length: -1",
      "content-length: +1",
      "content-length: 1, 1",
      "content-length:",
      "content-length: 9999999999999999",
      "transfer-encoding: gzip",
      "transfer-encoding: chunked, chunked",
      "transfer-encoding: xchunked",
      "transfer-encoding:",
    ])
      refused(400, line, header);
    refused(400, line, "content-length: 1", "content-length: 1");
    refused(400, line, "content-length: 1", "transfer-encoding: chunked");
    refused(400, line, "transfer-encoding: chunked", "transfer-encoding: chunked");
    refused(400, line, "host: a", "host: b");
    refused(400, "POST / HTTP/1.0", "transfer-encoding: chunked");
    for (const start of [
      "",
      "GET",
      "GET /",
      "GET  / HTTP/1.1",
      "GET / HTTP/1.1 ",
      "GET / http/1.1",
      "GET / a HTTP/1.1",
      "G@T / HTTP/1.1",
      "GET /\x7f HTTP/1.1",
    ]) {
      refused(400, start);
    }
    refused(505, "GET / HTTP/2.0");
    refused(505, "GET / HTTP/1.2");
    refused(431, "GET / HTTP/1.1", ...Array.from({ length: 101 }, (_, at) => `x${at}: y`));
  });

  test("is parsed or refused, whatever it holds", () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)) }),
        (text) => {
          for (const whole of [text, `GET / HTTP/1.1\r\n${text}`, `GET ${text} HTTP/1.1`]) {
            try {
              for (const [name, value] of parseHead(whole).headers)
                assert.doesNotMatch(name + value, /[\r\n\0]/);
            } catch (error) {
              assert.ok(error instanceof BadHead);
            }
          }
        },
      ),
      { numRuns: 1000 },
    );
  });

  test("a token is found in a list, whole and in any case", () => {
    assert.ok(hasToken("Keep-Alive, Upgrade", "upgrade"));
    assert.ok(!hasToken("upgraded", "upgrade"));
    assert.ok(!hasToken(undefined, "close"));
  });
});
