import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { startPostern } from "./support/postern.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const readme = readFileSync(`${root}README.md`, "utf8");
const writtenUrl = "http://127.0.0.1:8080";

/** The code blocks of one language, joined, as if a reader typed all of them in one terminal. */
function blocks(language: string): string {
  const found = [...readme.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\`$`, "gm"))];
  assert.ok(found.length > 0, `the README has ${language} blocks`);
  return found.map(([, code]) => code).join("");
}

/** What the README says the code prints: lines behind the mark, in which `...` stands for anything. */
function promised(code: string, mark: string): RegExp {
  const lines = code.split("\n").filter((line) => line.startsWith(mark));
  const pattern = lines
    .map((line) => line.slice(mark.length).trim())
    .map((line) => line.split("...").map(literal).join(".+"))
    .join("\n");
  return new RegExp(`^${pattern}$`);
}

/** A pattern for exactly this text. */
function literal(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");
}

async function output(command: string, args: readonly string[], input: string): Promise<string> {
  const child = spawn(command, args, { cwd: root, stdio: ["pipe", "pipe", "inherit"] });
  let text = "";
  child.stdout.on("data", (chunk) => {
    text += chunk;
  });
  child.stdin.end(input);
  await once(child, "close");
  return text.trim();
}

describe("the README's tour", () => {
  test("its curl commands print what it says", async () => {
    await using relay = await startPostern();
    const tour = blocks("sh");
    // In a terminal the eye parts two answers; here a line end after each does. Progress bars stay away.
    const curl = 'curl() { local said; said=$(command curl -s "$@"); [ -z "$said" ] || echo "$said"; }\n';
    const said = await output("bash", [], curl + tour.replaceAll(writtenUrl, relay.url));
    assert.match(said, promised(tour, "#>"));
  });

  test("its code for the Pubky client runs and prints what it says", async () => {
    await using relay = await startPostern();
    const code = blocks("js");
    const said = await output(
      process.execPath,
      ["--input-type=module"],
      code.replaceAll(writtenUrl, relay.url),
    );
    assert.match(said, promised(code, "//>"));
  });
});
