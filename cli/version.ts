import { buildInfo } from "#daemon/build-info.ts";
import type { Command } from "./command.ts";

export const version: Command = {
  options: {},
  async run() {
    process.stdout.write(`postern ${buildInfo().version}\n`);
    return 0;
  },
};
