import assert from "node:assert/strict";
import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { commands } from "#cli/commands.ts";
import { flagName } from "#core/options.ts";
import { allOptions } from "#daemon/options.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const documents = globSync("{*,docs/**/*,protocol/**/*,ops/**/*}.md", { cwd: root }).sort();

/** As a forge makes it from a heading. */
function anchorOf(heading: string): string {
  const plain = heading.toLowerCase().replace(/[^\p{L}\p{N}\s_-]/gu, "");
  return plain.trim().replaceAll(" ", "-");
}

function anchorsOf(file: string): string[] {
  const text = readFileSync(join(root, file), "utf8");
  return [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading]) => anchorOf(heading!));
}

describe("the documents", () => {
  for (const file of documents) {
    const text = readFileSync(join(root, file), "utf8");

    test(`${file} links to what is there`, () => {
      for (const [, link] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
        if (/^[a-z]+:/.test(link!)) continue;
        const [path = "", anchor] = link!.split("#");
        const target = path === "" ? file : join(dirname(file), path);
        assert.ok(existsSync(join(root, target)), `${link} exists`);
        if (anchor !== undefined) assert.ok(anchorsOf(target).includes(anchor), `${link} has that heading`);
      }
    });

    test(`${file} names files that are there`, () => {
      for (const [, name] of text.matchAll(/`([\w.-]+(?:\/[\w.-]+)+\.(?:ts|cjs|json|md))`/g)) {
        assert.ok(existsSync(join(root, name!)), `${name} exists`);
      }
    });
  }

  test("the guide and the README name only options that the command has", async () => {
    const daemon = new Set([...Object.keys(allOptions).map(flagName), "config", "help"]);
    const optionsOf = new Map<string, ReadonlySet<string>>();
    for (const { name, load } of commands) {
      const { options } = await load();
      optionsOf.set(name, new Set([...Object.keys(options).map(flagName), "help"]));
    }
    for (const file of ["README.md", "docs/guides/operate.md", "SECURITY.md", "CHANGELOG.md"]) {
      const text = readFileSync(join(root, file), "utf8");
      for (const line of text.split("\n")) {
        const [, verb, second] = /^ {4}(?:npm exec -- )?postern ([a-z]+)(?: ([a-z]+))?/.exec(line) ?? [];
        const own = optionsOf.get(`${verb} ${second}`) ?? optionsOf.get(verb ?? "");
        // Lines of other programs have options of their own, and `token` reads its words itself.
        if (verb === "token" || (!own && /^ {4}(?!--)/.test(line))) continue;
        for (const [, name] of line.matchAll(/(?<![\w-])--([a-z][a-z0-9-]+)/g)) {
          const plain = name!.replace(/^no-/, "");
          assert.ok(own?.has(plain) || daemon.has(plain), `${file}: --${name}`);
        }
      }
    }
  });
});
