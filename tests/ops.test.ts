import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { opsUrlOf, runPostern, startPostern } from "./support/postern.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const read = (name: string) => readFileSync(`${root}${name}`, "utf8");

describe("the files in ops/", () => {
  test("ask only for metrics that the daemon has", async () => {
    await using relay = await startPostern([
      "--ops-listen",
      "127.0.0.1:0",
      "--verbose",
      // The live mode has metrics of its own.
      "--auth-public",
      "",
      "--log-format",
      "json",
    ]);
    const metrics = await (await fetch(`${await opsUrlOf(relay)}/metrics`)).text();
    for (const file of ["ops/prometheus/alerts.yml", "ops/grafana/postern.json", "docs/guides/operate.md"]) {
      const names = new Set(read(file).match(/\b(postern|process|nodejs)_[a-z0-9_]+/g));
      assert.ok(names.size > 0, file);
      for (const name of names) {
        const family = name.replace(/_bucket$/, "");
        assert.ok(metrics.includes(`# TYPE ${family} `), `${file} asks for ${name}`);
      }
    }
  });

  test("start the daemon with options that it takes", async () => {
    const unit = read("ops/systemd/postern.service");
    const [, args] = /^ExecStart=\S+ \S+ serve (.*)$/m.exec(unit)!;
    const asked = await runPostern(["config", ...args!.split(" ")]);
    assert.equal(asked.code, 0, asked.stderr);

    const image = read("ops/docker/Dockerfile");
    const variables = Object.fromEntries(
      [...image.matchAll(/(POSTERN_\w+)=(\S+)/g)].map(([, name, value]) => [name, value]),
    );
    const { code, stdout, stderr } = await runPostern(["config", "--json"], {
      env: { ...process.env, ...variables },
    });
    assert.equal(code, 0, stderr);
    assert.deepEqual(JSON.parse(stdout)["persist-db"], {
      value: "/data/postern.db",
      origin: "environment",
    });
  });
});
