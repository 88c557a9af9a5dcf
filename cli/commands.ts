import type { Command } from "./command.ts";
import { config } from "./config.ts";
import { serve } from "./serve.ts";
import { token } from "./token.ts";
import { version } from "./version.ts";

const commands: readonly Command[] = [serve, token, config, version];

export function commandByName(name: string): Command | undefined {
  if (name === "--version" || name === "-V") return version;
  return commands.find((command) => command.name === name);
}

export function usage(): string {
  const width = Math.max(...commands.map(({ name }) => name.length));
  const rows = commands.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`);
  return [
    "postern: a relay for sealed bytes.",
    "",
    "Usage: postern COMMAND [OPTIONS]",
    "",
    ...rows,
    "",
    "postern COMMAND --help tells more.",
    "",
  ].join("\n");
}
