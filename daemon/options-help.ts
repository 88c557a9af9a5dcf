import { flagName, type OptionSet, type OptionSpec, variableName } from "#core/options.ts";

type Groups = Readonly<Record<string, OptionSet>>;

function usageOf(key: string, spec: OptionSpec<unknown>): string {
  const short = spec.short ? `-${spec.short}, ` : "    ";
  const value = spec.kind === "flag" || spec.kind === "count" ? "" : ` <${spec.kind}>`;
  return `${short}--${flagName(key)}${value}`;
}

function defaultOf(spec: OptionSpec<unknown>): string {
  return spec.default === undefined ? "none" : spec.format(spec.default) || "none";
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = [""];
  for (const word of text.split(" ")) {
    if (lines.at(-1)!.length + word.length + 1 > width) lines.push("");
    lines.push(`${lines.pop()} ${word}`.trimStart());
  }
  return lines;
}

/** The options part of `--help`. */
export function optionsHelp(groups: Groups): string {
  const sections = Object.entries(groups).map(([title, options]) => {
    const rows = Object.entries(options).flatMap(([key, spec]) => [
      `  ${usageOf(key, spec)}  [default: ${defaultOf(spec)}]`,
      ...wrap(spec.doc.replaceAll("`", ""), 90).map((line) => `          ${line}`),
    ]);
    return `${title}\n${rows.join("\n")}\n`;
  });
  return `${sections.join("\n")}\n  -h, --help\n`;
}

/** `docs/options.md`, whole. */
export function optionsReference(groups: Groups): string {
  const cell = (text: string) => text.replaceAll("|", "\\|");
  const sections = Object.entries(groups).map(([title, options]) => {
    const rows = Object.entries(options).map(([key, spec]) => {
      const names = [`\`--${flagName(key)}\``, `\`${variableName(key)}\``];
      if (spec.short) names.unshift(`\`-${spec.short}\``);
      for (const name of spec.also?.flags ?? []) names.push(`\`--${name}\``);
      for (const name of spec.also?.env ?? []) names.push(`\`${name}\``);
      for (const name of spec.also?.toml ?? []) names.push(`\`${name}\` (file)`);
      return `| ${names.join("<br>")} | ${cell(defaultOf(spec))} | ${cell(spec.allowed)} | ${cell(spec.doc)} |`;
    });
    return `## ${title}\n\n| option, variable | default | allowed | what it does |\n|---|---|---|---|\n${rows.join("\n")}\n`;
  });
  return `# Options

Made from the declarations in the code by \`npm run docs\`; a test fails when it is stale.

Every option is a flag of \`postern serve\`, a variable, and a key of the TOML file that \`--config\` names (the flag's name
without the dashes). Order: defaults < file < environment < flags. An unknown key stops the start. \`postern config\` prints
what is in effect and where each value came from.

${sections.join("\n")}`;
}
