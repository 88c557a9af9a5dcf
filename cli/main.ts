import { exit } from "node:process";
import { commandByName, usage } from "./commands.ts";

const [name, ...args] = process.argv.slice(2);
if (name === undefined || name === "help" || name === "--help" || name === "-h") {
  process.stdout.write(usage());
  exit(name === undefined ? 2 : 0);
}
const command = commandByName(name);
if (!command) {
  process.stderr.write(`postern ${name}: no such command; see postern --help.\n`);
  exit(2);
}
process.exitCode = await command.run(args);
