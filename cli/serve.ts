import { compose, type Daemon } from "#daemon/compose.ts";
import { allOptions, collectOptions, OptionError, optionGroups } from "#daemon/options.ts";
import { optionsHelp } from "#daemon/options-help.ts";
import { createLogger, rustLogLevel } from "#daemon/telemetry.ts";
import type { Command } from "./command.ts";

const help = () => `postern serve: run the relay.

Usage: postern serve [FILE.toml] [OPTIONS]

  postern serve                                  on 127.0.0.1:8080, messages kept in ./postern.db
  postern serve --bind 0.0.0.0 --port 80         open to others
  postern serve --persist-db memory              nothing on disk, nothing survives a restart

Prints one line on stdout when it listens; logs go to stderr. SIGTERM and SIGINT stop it cleanly, a second one at once.
Each option is also a variable (--max-entries is POSTERN_MAX_ENTRIES) and a line of the file that --config names
(max-entries = 20000). Flags win over variables, variables over the file.

${optionsHelp(optionGroups)}`;

export const serve: Command = {
  options: allOptions,
  async run(args) {
    if (args.includes("--help") || args.includes("-h")) {
      process.stdout.write(help());
      return 0;
    }
    let collected: ReturnType<typeof collectOptions>;
    try {
      collected = collectOptions(args, process.env);
    } catch (error) {
      return failed(error);
    }
    const { config, notices } = collected;
    const rustLevel = rustLogLevel(process.env);
    // The database holds ids, which are secrets: it is nobody else's to read.
    process.umask(0o077);
    const log = createLogger(
      { ...config, logLevel: rustLevel ?? config.logLevel },
      process.stderr.isTTY === true,
    );
    if (rustLevel) log.info({ logLevel: rustLevel }, "RUST_LOG decides how much is logged");
    for (const notice of notices) log.warn(notice);
    try {
      const daemon = await compose(config, log, process.env);
      const stopped = stopSignal();
      reloadOnSignal(daemon);
      process.stdout.write(`postern ready on ${daemon.url}\n`);
      log.info({ signal: await stopped }, "stopping");
      await daemon.close();
      return 0;
    } catch (error) {
      return failed(error);
    }
  },
};

/** Resolves at the first SIGTERM or SIGINT; the second ends the process at once. */
function stopSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    let asked = false;
    const stop = (signal: NodeJS.Signals) => {
      if (asked) process.exit(130);
      asked = true;
      resolve(signal);
    };
    process.on("SIGTERM", stop);
    process.on("SIGINT", stop);
  });
}

/** SIGUSR1 as the original relay has it, SIGHUP as service managers do; from a terminal that one means it was closed. */
function reloadOnSignal(daemon: Daemon): void {
  process.on("SIGUSR1", () => daemon.reload());
  if (!process.stdin.isTTY) process.on("SIGHUP", () => daemon.reload());
}

function failed(error: unknown): number {
  if (error instanceof OptionError) {
    process.stderr.write(`postern: ${error.message}\n`);
    return 2;
  }
  process.stderr.write(`postern: cannot start: ${advice(error as NodeJS.ErrnoException)}\n`);
  return 1;
}

function advice(error: NodeJS.ErrnoException): string {
  if (error.code === "EADDRINUSE")
    return `${error.message}. Another program has this port; choose one with --port.`;
  if (error.code === "EACCES")
    return `${error.message}. Ports below 1024 need a privilege; choose one with --port.`;
  if (error.code === "ERR_SQLITE_ERROR")
    return `the database file: ${error.message}. Choose one with --persist-db.`;
  return error.message;
}
