/** A verb of the command line. */
export interface Command {
  readonly name: string;
  /** One line for the list of commands. */
  readonly summary: string;
  /** Resolves to the exit code: 0 done, 1 failed, 2 asked for in a way that cannot be. */
  run(args: readonly string[]): Promise<number>;
}
