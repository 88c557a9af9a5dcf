import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { covers } from "../grant.ts";
import { joinPath } from "../path.ts";
import { contains, type Grants, grantsAt } from "./grants.ts";

interface Row {
  readonly path: string;
  readonly root: string;
  readonly put?: string[];
  readonly get?: string[];
  readonly expected: { put: string[]; get: string[] } | undefined;
}

/** The table of `protocol/live-auth.md`. */
const rows: Record<string, Row> = {
  "the root itself keeps every grant": {
    path: "room",
    root: "room",
    put: ["alice"],
    get: [""],
    expected: { put: ["alice"], get: [""] },
  },
  "the empty root at the empty path is everything": {
    path: "",
    root: "",
    put: [""],
    get: [""],
    expected: { put: [""], get: [""] },
  },
  "below the root, what lies further below is stripped": {
    path: "room/alice",
    root: "room",
    put: ["alice/camera"],
    get: ["alice", "bob"],
    expected: { put: ["camera"], get: [""] },
  },
  "below the root, a grant that covers the path is everything": {
    path: "room/alice/camera",
    root: "room",
    put: ["alice"],
    get: [""],
    expected: { put: [""], get: [""] },
  },
  "below the root, a grant of another branch is dropped": {
    path: "room/alice",
    root: "room",
    put: ["bob"],
    get: ["alice"],
    expected: { put: [], get: [""] },
  },
  "below the root, with every grant elsewhere, nothing is left": {
    path: "room/alice",
    root: "room",
    put: ["bob"],
    get: ["alicent"],
    expected: undefined,
  },
  "above the root, grants grow by what lies between": {
    path: "",
    root: "room/a",
    put: ["alice"],
    get: [""],
    expected: { put: ["room/a/alice"], get: ["room/a"] },
  },
  "one part above the root": {
    path: "room",
    root: "room/a",
    get: ["x"],
    expected: { put: [], get: ["a/x"] },
  },
  "an unrelated path": { path: "other", root: "room", get: [""], expected: undefined },
  "a path that only begins with the same letters": {
    path: "roomy",
    root: "room",
    get: [""],
    expected: undefined,
  },
  "a root that only begins with the same letters": {
    path: "room",
    root: "roomy",
    get: [""],
    expected: undefined,
  },
};

describe("rights seen from the path of a session", () => {
  for (const [name, { path, root, put = [], get = [], expected }] of Object.entries(rows)) {
    test(name, () => {
      assert.deepEqual(grantsAt(path, { root, put, get }), expected && { root: path, ...expected });
    });
  }

  const part = fc.constantFrom("a", "b", "aa");
  const path = fc.array(part, { maxLength: 4 }).map((parts) => parts.join("/"));
  const grants: fc.Arbitrary<Grants> = fc.record({
    root: path,
    put: fc.array(path, { maxLength: 3 }),
    get: fc.array(path, { maxLength: 3 }),
  });
  const allows = (of: Grants | undefined, right: "put" | "get", name: string) =>
    of?.[right].some((prefix) => covers([joinPath(of.root, prefix)], name)) ?? false;

  test("from any path, a name at or below it is allowed exactly when the token allows it", () => {
    fc.assert(
      fc.property(grants, path, path, (token, sessionPath, name) => {
        const whole = joinPath(sessionPath, name);
        const seen = grantsAt(sessionPath, token);
        for (const right of ["put", "get"] as const)
          assert.equal(allows(seen, right, whole), allows(token, right, whole));
      }),
    );
  });

  test("no path ever gives a right that the token does not", () => {
    fc.assert(
      fc.property(grants, path, (token, sessionPath) => {
        const seen = grantsAt(sessionPath, token);
        assert.ok(seen === undefined || contains(token, seen));
      }),
    );
  });
});

describe("a ceiling", () => {
  const ceiling: Grants = { root: "room", put: ["alice"], get: [""] };

  test("holds what is below it, whatever the roots are", () => {
    assert.ok(contains(ceiling, { root: "", put: ["room/alice/camera"], get: ["room"] }));
    assert.ok(contains(ceiling, { root: "room/alice", put: [""], get: [] }));
  });

  test("does not hold a token with one grant beyond it", () => {
    assert.equal(contains(ceiling, { root: "room", put: ["alice", "bob"], get: [""] }), false);
    assert.equal(contains(ceiling, { root: "room", put: [""], get: [] }), false);
    assert.equal(contains(ceiling, { root: "", put: [], get: [""] }), false);
    assert.equal(
      contains({ root: "room", put: [], get: [""] }, { root: "room", put: ["x"], get: [] }),
      false,
    );
  });
});
