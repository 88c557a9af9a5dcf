import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { OptionError, parseGiven, readFlags } from "./flags.ts";
import { count, flag, integer, list, text } from "./options.ts";

const options = {
  relay: text({ default: undefined, doc: "", short: "r" }),
  caps: list({ default: [], doc: "" }),
  verbose: count({ default: 0, doc: "", short: "v" }),
  wait: flag({ default: true, doc: "", short: "w" }),
  noise: flag({ default: false, doc: "" }),
  tokenMaxBytes: integer({ default: 1, doc: "", secret: true }),
};
const read = (...args: string[]) => {
  const { options: given, operands } = readFlags(args, options);
  return { ...Object.fromEntries([...given].map(([key, { text }]) => [key, text])), operands };
};

test("values stand after the flag, behind = or, for one letter, right after it", () => {
  for (const args of [["--relay", "a b"], ["--relay=a b"], ["-r", "a b"], ["-ra b"], ["-r=a b"]])
    assert.deepEqual(read(...args), { relay: "a b", operands: [] });
  assert.deepEqual(read("-vwvr", "x"), { verbose: "2", wait: "true", relay: "x", operands: [] });
});

test("counts add up, lists join, of the rest the last one wins", () => {
  assert.deepEqual(read("--caps", "a,b", "-v", "--caps=c", "--relay", "x", "--verbose", "-r", "y"), {
    caps: "a,b,c",
    verbose: "2",
    relay: "y",
    operands: [],
  });
});

test("what is on is switched off by no-, and a name that begins with no is a name", () => {
  assert.deepEqual(read("--no-wait", "--noise"), { wait: "false", noise: "true", operands: [] });
  assert.throws(() => read("--no-relay"), {
    message: "--no-relay: only an on-off option can be switched off.",
  });
});

test("operands may stand anywhere; - is one, and so is everything after --", () => {
  assert.deepEqual(read("one", "-w", "-", "--", "--relay", "-x"), {
    wait: "true",
    operands: ["one", "-", "--relay", "-x"],
  });
});

test("an unknown flag is named, with the one that was probably meant", () => {
  assert.throws(() => read("--max-tokens"), {
    message: "--max-tokens: no such option. Did you mean --token-max?",
  });
  assert.throws(() => read("--zzz"), { message: "--zzz: no such option. See --help." });
  assert.throws(() => read("-z"), {
    message: "-z: no such option. See --help; an id that begins with - goes after --.",
  });
  assert.throws(() => read("-9"), { message: "-9: not an option. Options begin with --; see --help." });
  assert.throws(() => read("--relay"), { message: "--relay: needs a value; see --help." });
});

test("a bad value is quoted, unless it may be a secret", () => {
  const given = { name: "--token-max", text: "s3cret" };
  const refused = (run: () => unknown) => {
    try {
      run();
    } catch (error) {
      return (error as Error).message;
    }
    return assert.fail("taken");
  };
  assert.doesNotMatch(
    refused(() => parseGiven(options.tokenMaxBytes, given)),
    /s3cret/,
  );
  assert.match(
    refused(() => parseGiven(options.wait, given)),
    /^--token-max: "s3cret" is not possible; allowed: /,
  );
});

test("any command line is read or refused with a sentence, and operands come out as they went in", () => {
  fc.assert(
    fc.property(fc.array(fc.string({ maxLength: 10 })), (args) => {
      try {
        readFlags(args, options);
      } catch (error) {
        assert.ok(error instanceof OptionError, String(error));
      }
      assert.deepEqual(readFlags(["--", ...args], options).operands, args);
    }),
  );
});
