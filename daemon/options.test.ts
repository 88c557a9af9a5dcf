import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { describe, test } from "node:test";
import { temporaryFolder } from "#tests/support/temporary-folder.ts";
import { collectOptions, OptionError } from "./options.ts";

const refused = (args: string[], pattern: RegExp, env: NodeJS.ProcessEnv = {}) =>
  assert.throws(
    () => collectOptions(args, env),
    (error) => error instanceof OptionError && pattern.test(error.message),
  );

describe("options", () => {
  test("variables that promise certificates are refused, not passed over", () => {
    for (const name of ["RELAY_FEDERATION_TLS_CERT", "RELAY_FEDERATION_TLS_KEY", "RELAY_FEDERATION_TLS_CA"]) {
      refused([], /asks for certificates/, { [name]: "/etc/relay.pem" });
    }
    assert.equal(
      collectOptions([], { RELAY_FEDERATION_OFFLOAD_THRESHOLD: "0.5" }).config.federationOffloadThreshold,
      0.5,
    );
    refused(["--federation-offload-refuse", "1.5"], /a number, 0 to 1/);
  });

  test("the original's flags keep their names, units and defaults", () => {
    const { config } = collectOptions([], {});
    assert.equal(config.bind, "127.0.0.1");
    assert.equal(config.port, 8080);
    assert.equal(config.linkTimeoutMs, 600_000);
    assert.equal(config.inboxTimeoutMs, 25_000);
    assert.equal(config.inboxCacheTtlMs, 300_000);
    assert.equal(config.maxBodySizeBytes, 2048);
    assert.equal(config.maxEntries, 10_000);
    const line =
      "-b 0.0.0.0 -p 90 --link-timeout 60 --inbox-timeout 5 --inbox-cache-ttl 9 --max-body-size 100 --max-entries 7 --persist-db x.db --cors-allow-all -vv -q";
    const given = collectOptions(line.split(" "), {}).config;
    assert.equal(given.bind, "0.0.0.0");
    assert.equal(given.port, 90);
    assert.equal(given.linkTimeoutMs, 60_000);
    assert.equal(given.inboxTimeoutMs, 5000);
    assert.equal(given.inboxCacheTtlMs, 9000);
    assert.equal(given.maxBodySizeBytes, 100);
    assert.equal(given.maxEntries, 7);
    assert.equal(given.persistDb, "x.db");
    assert.equal(given.corsAllowAll, true);
    assert.equal(given.verbose, 2);
    assert.equal(given.quiet, true);
  });

  test("flags win over variables, variables over the file, the file over defaults", () => {
    using folder = temporaryFolder();
    const file = folder.file("relay.toml");
    writeFileSync(file, 'port = 1\nmax-entries = 2\ninbox-timeout = "3s"\ncors = ["https://a.example"]\n');
    const env = { POSTERN_MAX_ENTRIES: "4", POSTERN_PORT: "5", POSTERN_CONFIG: file };
    const { config, origins } = collectOptions(["--port=6"], env);
    assert.equal(config.port, 6);
    assert.equal(config.maxEntries, 4);
    assert.equal(config.inboxTimeoutMs, 3000);
    assert.deepEqual(config.cors, ["https://a.example"]);
    assert.deepEqual(
      [origins.port, origins.maxEntries, origins.inboxTimeoutMs, origins.bind],
      ["flag", "environment", "file", "default"],
    );
  });

  test("a bad value is told with its option, itself and what is allowed", () => {
    refused(["--port", "99999"], /^--port: "99999" is not possible; allowed: a whole number, 0 to 65535\.$/);
    refused(["--inbox-timeout", "soon"], /--inbox-timeout: "soon".*25s.*plain number means seconds/);
    refused(["--inbox-timeout", "0"], /1ms to 1h/);
    refused(["--max-body-size", "-1"], /a size such as 2048, 64KiB or 1GiB/);
    refused(["--log-format", "xml"], /auto, text, json/);
    refused(["--cors", "example.com"], /mirror, off, or origins/);
    refused([], /^POSTERN_PORT: "x"/, { POSTERN_PORT: "x" });
  });

  test("an unknown option stops the start, wherever it stands, and names the likely one", () => {
    refused(["--inbox-time", "3"], /--inbox-time: no such option\. Did you mean --inbox-timeout\?/);
    refused(["-z"], /-z: no such option/);
    refused(["extra"], /extra: not an option/);
    refused([], /POSTERN_PROT: no such variable/, { POSTERN_PROT: "1" });
    using folder = temporaryFolder();
    const file = folder.file("relay.toml");
    writeFileSync(file, "prot = 1\n");
    refused(["--config", file], /prot in .*relay\.toml: no such option/);
    writeFileSync(file, "port = = 1\n");
    refused(["--config", file], /relay\.toml: line 1/);
    refused(["--config", folder.file("missing.toml")], /missing\.toml/);
  });

  test("a missing value, and a flag that takes none, are told apart", () => {
    refused(["--port"], /--port: needs a value/);
    refused(["--no-port"], /--no-port: only an on-off option/);
    assert.equal(collectOptions(["--refuse-empty", "--no-refuse-empty"], {}).config.refuseEmpty, false);
  });

  test("durations and sizes take units", () => {
    const { config } = collectOptions(
      ["--inbox-timeout=600ms", "--link-timeout=2m", "--max-body-size=64KiB"],
      {},
    );
    assert.equal(config.inboxTimeoutMs, 600);
    assert.equal(config.linkTimeoutMs, 120_000);
    assert.equal(config.maxBodySizeBytes, 65_536);
  });
});
