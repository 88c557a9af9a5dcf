import type { OptionSet } from "#core/options.ts";

/** A verb of the command line. */
export interface Command {
  /** What it takes, for completions. */
  readonly options: OptionSet;
  /** Words that may stand where an operand does, for completions. */
  readonly words?: readonly string[];
  /** Resolves to one of the exit codes of `exit-codes.ts`. */
  run(args: readonly string[]): Promise<number>;
}

/** A verb's place in the list of commands, which `commands.ts` holds. */
export interface CommandEntry {
  /** One word, or two: `auth request`. */
  readonly name: string;
  /** One line for the list of commands. */
  readonly summary: string;
  /** Loaded when it is called: the relay needs no QR codes, a client no database. */
  load(): Promise<Command>;
}
