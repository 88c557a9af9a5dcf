import { OptionError } from "#core/flags.ts";
import { flagName, type OptionSpec } from "#core/options.ts";
import { clientCommand } from "./client-command.ts";
import type { Command, CommandEntry } from "./command.ts";
import { exitCodes } from "./exit-codes.ts";

const shells = ["bash", "zsh", "fish"] as const;

/** A command with its place in the list. */
type Listed = Command & Pick<CommandEntry, "name" | "summary">;

/** `entries` are all the commands, this one too. */
export function completions(entries: readonly CommandEntry[]): Command {
  return {
    ...clientCommand({
      name: "completions",
      usage: "completions bash|zsh|fish",
      about: `
  postern completions bash >> ~/.bashrc
  postern completions zsh > "\${fpath[1]}/_postern"
  postern completions fish > ~/.config/fish/completions/postern.fish`,
      options: {},
      operandsMost: 1,
      async run({ operands: [shell], terminal }) {
        const scripts = { bash: bashScript, zsh: zshScript, fish: fishScript };
        const script = shells.find((name) => name === shell);
        if (!script) throw new OptionError(`Name your shell: ${shells.join(", ")}.`);
        await terminal.write(scripts[script](await loadAll(entries)));
        return exitCodes.ok;
      },
    }),
    words: shells,
  };
}

async function loadAll(entries: readonly CommandEntry[]): Promise<Listed[]> {
  return Promise.all(
    entries.map(async ({ name, summary, load }) => {
      const { options, words, run } = await load();
      return { name, summary, options, run, ...(words && { words }) };
    }),
  );
}

/** Every flag of a command, `--no-` forms of what is on by default included. */
function flagsOf({ options }: Listed): string[] {
  const entries = Object.entries(options) as [string, OptionSpec<unknown>][];
  return [
    ...entries.map(([key, { kind, default: byDefault }]) =>
      kind === "flag" && byDefault === true ? `--no-${flagName(key)}` : `--${flagName(key)}`,
    ),
    "--help",
  ];
}

/** What may follow each word that begins a command: `auth` has verbs, `completions` has shells. */
function secondWords(commands: readonly Listed[]): Map<string, string[]> {
  const map = new Map<string, string[]>();
  for (const { name, words = [] } of commands) {
    const [first = "", second] = name.split(" ");
    const row = map.get(first) ?? [];
    row.push(...(second === undefined ? words : [second]));
    map.set(first, row);
  }
  return map;
}

const firstWords = (commands: readonly Listed[]) => [...secondWords(commands).keys()];

function bashScript(commands: readonly Listed[]): string {
  const verbs = [...secondWords(commands)].filter(([, words]) => words.length > 0);
  const isTwoWords = (name: string) => name.includes(" ");
  return `# Completions of postern for bash.
_postern() {
  local word=\${COMP_WORDS[COMP_CWORD]} first=\${COMP_WORDS[1]} second=\${COMP_WORDS[2]}
  local words=""
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "${firstWords(commands).join(" ")} help" -- "$word"))
    return
  fi
  if [ "$COMP_CWORD" -eq 2 ]; then
    case $first in
${verbs.map(([first, words]) => `      ${first}) COMPREPLY=($(compgen -W "${words.join(" ")}" -- "$word")) ;;`).join("\n")}
    esac
    [ \${#COMPREPLY[@]} -gt 0 ] && return
  fi
  case "$first $second" in
${commands.map((command) => `    "${command.name}${isTwoWords(command.name) ? '"' : ' "*'}) words="${flagsOf(command).join(" ")}" ;;`).join("\n")}
  esac
  case $word in
    -*) COMPREPLY=($(compgen -W "$words" -- "$word")) ;;
    *) COMPREPLY=($(compgen -f -- "$word")) ;;
  esac
}
complete -o filenames -F _postern postern
`;
}

function zshScript(commands: readonly Listed[]): string {
  const verbs = [...secondWords(commands)].filter(([, words]) => words.length > 0);
  const isTwoWords = (name: string) => name.includes(" ");
  return `#compdef postern
# Completions of postern for zsh.
_postern() {
  local first=\${words[2]} second=\${words[3]}
  if (( CURRENT == 2 )); then
    compadd -- ${firstWords(commands).join(" ")} help
    return
  fi
  if (( CURRENT == 3 )); then
    case $first in
${verbs.map(([first, words]) => `      ${first}) compadd -- ${words.join(" ")} ;;`).join("\n")}
    esac
  fi
  if [[ \${words[CURRENT]} == -* ]]; then
    case "$first $second" in
${commands.map((command) => `      ("${command.name}${isTwoWords(command.name) ? '"' : ' "*'}) compadd -- ${flagsOf(command).join(" ")} ;;`).join("\n")}
    esac
    return
  fi
  _files
}
if [ "$funcstack[1]" = "_postern" ]; then _postern "$@"; else compdef _postern postern; fi
`;
}

function fishScript(commands: readonly Listed[]): string {
  const quoted = (text: string) => `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
  const summaries = new Map(commands.map(({ name, summary }) => [name, summary]));
  const lines = ["# Completions of postern for fish."];
  for (const [first, words] of secondWords(commands)) {
    const summary = summaries.get(first) ?? words.join(", ");
    lines.push(`complete -c postern -n __fish_use_subcommand -f -a ${first} -d ${quoted(summary)}`);
    for (const word of words)
      lines.push(
        `complete -c postern -n ${quoted(`__fish_seen_subcommand_from ${first}; and not __fish_seen_subcommand_from ${words.join(" ")}`)} -f -a ${word} -d ${quoted(summaries.get(`${first} ${word}`) ?? word)}`,
      );
  }
  for (const { name, options } of commands) {
    const seen = name
      .split(" ")
      .map((word) => `__fish_seen_subcommand_from ${word}`)
      .join("; and ");
    for (const [key, spec] of Object.entries(options) as [string, OptionSpec<unknown>][]) {
      const takesValue = spec.kind !== "flag" && spec.kind !== "count";
      const isOn = spec.kind === "flag" && spec.default === true;
      const short = spec.short ? ` -s ${spec.short}` : "";
      const first = spec.doc.replaceAll("`", "").split(/(?<=[.:]) /)[0]!;
      lines.push(
        `complete -c postern -n ${quoted(seen)} -l ${isOn ? "no-" : ""}${flagName(key)}${short}${takesValue ? " -r" : ""} -d ${quoted(first)}`,
      );
    }
  }
  return `${lines.join("\n")}\n`;
}
