import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { throwsCode } from "../tests/assert-code.ts";
import { sdkVectors } from "../tests/sdk-vectors.ts";
import {
  allows,
  type Capability,
  compareCapabilities,
  formatCapabilities,
  normalizeCapabilities,
  parseCapabilities,
  readCapabilities,
} from "./capabilities.ts";

const scope = fc
  .array(fc.constantFrom("pub", "a", "b", "ab"), { maxLength: 3 })
  .chain((segments) => fc.constantFrom(`/${segments.join("/")}`, `/${segments.join("/")}/`));
const capability: fc.Arbitrary<Capability> = fc.record({
  scope,
  actions: fc.constantFrom("" as const, "r" as const, "w" as const, "rw" as const),
});
const list = fc.array(capability, { maxLength: 6 });

test("strict parsing takes and refuses what the SDK takes and refuses", () => {
  for (const { text, sdk } of sdkVectors.capabilities) {
    if ("ok" in sdk) assert.equal(formatCapabilities(parseCapabilities(text)), sdk.ok);
    else assert.equal(throwsCode(() => parseCapabilities(text), "capabilities_invalid").message, sdk.message);
  }
});

test("strict parsing names every bad entry; spaces and empty entries are bad", () => {
  const text = "/a:r,bogus, /b:r,/c:r ,,/d:rx,";
  const error = throwsCode(() => parseCapabilities(text), "capabilities_invalid");
  assert.deepEqual(error.details.capabilities, ["bogus", " /b:r", "/c:r ", "", "/d:rx", ""]);
  assert.deepEqual(
    parseCapabilities(["/a:r", "/b:wr"]).map(({ actions }) => actions),
    ["r", "rw"],
  );
  throwsCode(() => parseCapabilities(["/a:r,/b:r"]), "capabilities_invalid");
});

test("lenient parsing keeps the good entries and tells of the bad ones", () => {
  const { capabilities, dropped } = readCapabilities("/a:r, /b:wr ,,bogus,/c:x");
  assert.equal(formatCapabilities(capabilities), "/a:r,/b:rw");
  assert.deepEqual(dropped, ["bogus", "/c:x"]);
});

test("the normal form is what the SDK merges to", () => {
  for (const { text, merged } of sdkVectors.merging) {
    assert.equal(formatCapabilities(normalizeCapabilities(readCapabilities(text).capabilities)), merged);
  }
});

test("normal forms are fixed points, and both parsers print them unchanged", () => {
  fc.assert(
    fc.property(list, (capabilities) => {
      const normal = normalizeCapabilities(capabilities);
      assert.deepEqual(normalizeCapabilities(normal), normal);
      const text = formatCapabilities(normal);
      assert.deepEqual(parseCapabilities(text), normal);
      assert.deepEqual(readCapabilities(text), { capabilities: normal, dropped: [] });
    }),
  );
});

test("the normal form allows exactly what the list allowed", () => {
  fc.assert(
    fc.property(list, scope, fc.constantFrom("r" as const, "w" as const), (capabilities, path, action) => {
      assert.equal(
        allows(normalizeCapabilities(capabilities), path, action),
        allows(capabilities, path, action),
      );
    }),
  );
});

test("the slash at the end of a scope is significant", () => {
  const file = parseCapabilities("/pub/a:rw");
  const folder = parseCapabilities("/pub/a/:r");
  assert.ok(allows(file, "/pub/a", "w"));
  assert.ok(!allows(file, "/pub/ab", "r"));
  assert.ok(!allows(file, "/pub/a/b", "r"));
  assert.ok(allows(folder, "/pub/a/b/c", "r"));
  assert.ok(allows(folder, "/pub/a/", "r"));
  assert.ok(!allows(folder, "/pub/a", "r"));
  assert.ok(!allows(folder, "/pub/a/b", "w"));
  assert.ok(allows(parseCapabilities("/:rw"), "/anything", "w"));
});

test("asked and granted are compared action by action", () => {
  const compared = (asked: string, granted: string) => {
    const { missing, extra } = compareCapabilities(parseCapabilities(asked), parseCapabilities(granted));
    return [formatCapabilities(missing), formatCapabilities(extra)];
  };
  assert.deepEqual(compared("/a/:rw", "/a/:rw"), ["", ""]);
  assert.deepEqual(compared("/a/:rw", "/a/:r"), ["/a/:w", ""]);
  assert.deepEqual(compared("/a/:r", "/a/:rw"), ["", "/a/:w"]);
  assert.deepEqual(compared("/a/:rw", "/a/b:r"), ["/a/:rw", ""]);
  assert.deepEqual(compared("/a/b:r", "/a/:r"), ["", "/a/:r"]);
  assert.deepEqual(compared("/a/:r,/a/:w", "/a/:rw"), ["", ""]);
  assert.deepEqual(compared("", "/:rw"), ["", "/:rw"]);
});

test("nothing extra means that nothing more is allowed", () => {
  const asked = list;
  fc.assert(
    fc.property(
      asked,
      list,
      scope,
      fc.constantFrom("r" as const, "w" as const),
      (wanted, granted, path, action) => {
        const { extra, missing } = compareCapabilities(wanted, granted);
        if (extra.length === 0 && allows(granted, path, action)) assert.ok(allows(wanted, path, action));
        if (missing.length === 0 && allows(wanted, path, action)) assert.ok(allows(granted, path, action));
      },
    ),
  );
});
