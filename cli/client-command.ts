import { OptionError } from "#core/flags.ts";
import { flag, type OptionSet } from "#core/options.ts";
import { optionsHelp } from "#daemon/options-help.ts";
import { type Arguments, parseArguments } from "./arguments.ts";
import type { Command } from "./command.ts";
import { exitCodes, exitCodesHelp } from "./exit-codes.ts";
import { failureOf } from "./failure.ts";
import { Terminal } from "./terminal.ts";

const sharedOptions = {
  json: flag({
    default: false,
    doc: "Results as JSON on stdout, one value a line; a failure as JSON on stderr. Nothing else is printed.",
  }),
  quiet: flag({ default: false, short: "q", doc: "Say nothing on stderr but errors." }),
};

export interface Invocation<S extends OptionSet> extends Arguments<S> {
  readonly terminal: Terminal;
}

export interface ClientCommandSpec<S extends OptionSet> {
  readonly name: string;
  /** How it is called, after `postern`. */
  readonly usage: string;
  /** What it does, and examples with their explanation. */
  readonly about: string;
  readonly options: S;
  /** How many words it takes that are no options. */
  readonly operandsMost: number;
  /** May throw what `failureOf` knows. */
  run(invocation: Invocation<S>): Promise<number>;
}

/** A verb that uses a relay: its help, its options, Ctrl-C, and one way to fail. */
export function clientCommand<S extends OptionSet>(spec: ClientCommandSpec<S>): Command {
  const options = { ...spec.options, ...sharedOptions };
  return {
    options,
    async run(args) {
      if (wantsHelp(args)) {
        process.stdout.write(helpOf(spec, options));
        return exitCodes.ok;
      }
      const json = args.includes("--json");
      const stop = new AbortController();
      const interrupt = () => stop.abort();
      process.once("SIGINT", interrupt);
      try {
        const parsed = parseArguments(args, options, spec.operandsMost, process.env);
        const { quiet } = parsed.values as { quiet: boolean };
        const terminal = new Terminal({ json, quiet, signal: stop.signal });
        return await spec.run({ ...(parsed as unknown as Arguments<S>), terminal });
      } catch (error) {
        // Whatever broke off, the person wanted it to.
        const failure = stop.signal.aborted
          ? { exitCode: exitCodes.interrupted, code: "aborted", message: "interrupted" }
          : failureOf(error);
        const { code, message, exitCode } = failure;
        const line = json ? JSON.stringify({ error: { code, message } }) : `postern ${spec.name}: ${message}`;
        process.stderr.write(`${line}\n`);
        if (error instanceof OptionError && !json) process.stderr.write(`Try postern ${spec.name} --help.\n`);
        return exitCode;
      } finally {
        process.off("SIGINT", interrupt);
      }
    },
  };
}

function wantsHelp(args: readonly string[]): boolean {
  const end = args.indexOf("--");
  return (end < 0 ? args : args.slice(0, end)).some((arg) => arg === "--help" || arg === "-h");
}

function helpOf(spec: Pick<ClientCommandSpec<OptionSet>, "usage" | "about">, options: OptionSet) {
  return `Usage: postern ${spec.usage}

${spec.about.trim()}

${optionsHelp({ Options: options })}
${exitCodesHelp}`;
}
