import { findCommand, isFamily, usage } from "./commands.ts";
import { exitCodes, exitCodesHelp } from "./exit-codes.ts";

const words = process.argv.slice(2);
const [first, second] = words;
const asksForHelp = (word: string | undefined) => word === "help" || word === "--help" || word === "-h";

const found = findCommand(first === "help" && second !== undefined ? [...words.slice(1), "--help"] : words);
if (found) process.exitCode = await (await found.entry.load()).run(found.args);
else if (first === undefined || asksForHelp(first)) {
  process.stdout.write(usage(exitCodesHelp));
  process.exitCode = first === undefined ? exitCodes.usage : exitCodes.ok;
} else if (isFamily(first) && (second === undefined || asksForHelp(second))) {
  process.stdout.write(usage(exitCodesHelp, first));
  process.exitCode = second === undefined ? exitCodes.usage : exitCodes.ok;
} else {
  const called = isFamily(first) ? `${first} ${second}` : first;
  process.stderr.write(`postern ${called}: no such command; see postern --help.\n`);
  process.exitCode = exitCodes.usage;
}
