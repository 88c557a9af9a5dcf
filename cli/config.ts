import { flagName, type OptionSpec } from "#core/options.ts";
import { allOptions, collectOptions, OptionError, type OptionKey, optionGroups } from "#daemon/options.ts";
import { optionsHelp } from "#daemon/options-help.ts";
import type { Command } from "./command.ts";

const help = () => `postern config: print the options in effect and where each came from.

Usage: postern config [--json] [OPTIONS]

Takes the same options, variables and file as postern serve. The output can be used as a file for --config.

${optionsHelp(optionGroups)}`;

export const config: Command = {
  options: allOptions,
  async run(args) {
    if (args.includes("--help") || args.includes("-h")) {
      process.stdout.write(help());
      return 0;
    }
    try {
      const { config, origins } = collectOptions(
        args.filter((arg) => arg !== "--json"),
        process.env,
      );
      const rows = (Object.entries(allOptions) as [OptionKey, OptionSpec<unknown>][]).map(([key, spec]) => ({
        name: flagName(key),
        value: spec.secret && config[key] !== undefined ? "(hidden)" : spec.format(config[key]),
        unset: config[key] === undefined,
        origin: origins[key],
      }));
      process.stdout.write(args.includes("--json") ? asJson(rows) : asToml(rows));
      return 0;
    } catch (error) {
      if (!(error instanceof OptionError)) throw error;
      process.stderr.write(`postern: ${error.message}\n`);
      return 2;
    }
  },
};

interface Row {
  readonly name: string;
  readonly value: string;
  readonly unset: boolean;
  readonly origin: string;
}

function asToml(rows: readonly Row[]): string {
  const lines = rows.map(
    ({ name, value, unset }) => `${unset ? "# " : ""}${name} = ${JSON.stringify(value)}`,
  );
  const width = Math.max(...lines.map((line) => line.length));
  return rows.map(({ origin }, at) => `${lines[at]!.padEnd(width)}  # ${origin}\n`).join("");
}

function asJson(rows: readonly Row[]): string {
  const entries = rows.map(({ name, value, unset, origin }) => [
    name,
    { value: unset ? null : value, origin },
  ]);
  return `${JSON.stringify(Object.fromEntries(entries), null, 2)}\n`;
}
