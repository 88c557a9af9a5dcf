import type { OptionSet } from "#core/options.ts";

/** Headings of the list of commands, in their order. */
export const commandGroups = ["Run a relay", "Send and receive", "Pubky Auth", "Help yourself"] as const;

/** A verb of the command line. */
export interface Command {
  /** One word, or two: `auth request`. */
  readonly name: string;
  readonly group: (typeof commandGroups)[number];
  /** One line for the list of commands. */
  readonly summary: string;
  /** What it takes, for `--help` and for completions. */
  readonly options: OptionSet;
  /** Words that may stand where an operand does, for completions. */
  readonly words?: readonly string[];
  /** Resolves to one of the exit codes of `exit-codes.ts`. */
  run(args: readonly string[]): Promise<number>;
}
