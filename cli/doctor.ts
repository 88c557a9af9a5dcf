import { OptionError } from "#core/flags.ts";
import { duration, flag, text } from "#core/options.ts";
import { defaultRelay, relayOption } from "./arguments.ts";
import { clientCommand } from "./client-command.ts";
import { exitCodes } from "./exit-codes.ts";
import { checkFsync } from "./fsync-time.ts";
import {
  checkClock,
  checkCors,
  checkHold,
  checkReachable,
  checkRoundTrip,
  checkTransport,
  type Finding,
  type Look,
} from "./relay-checks.ts";

const marks = { ok: "ok     ", warning: "warning", failed: "FAILED " } as const;

export const doctor = clientCommand({
  name: "doctor",
  usage: "doctor [URL] [OPTIONS]",
  about: `
Asks the relay as a client does and says what it found: does it answer and how fast, which TLS and HTTP, do the clocks
agree, does a message make its whole way, may web pages use it, and how long a request may wait before the relay or a
proxy between lets it go. The last takes as long as it takes: 25 seconds unless the operator changed it.

  postern doctor https://relay.example
  postern doctor https://relay.example --quick         all but the waiting
  postern doctor https://relay.example --hold 5m       how long do the proxies hold, up to five minutes
  postern doctor --local /var/lib/postern --quick      the relay on this machine, and its disk

Exit code 1 when a check failed; warnings are no failure. With --json: {"url":…,"ok":…,"checks":[…]}, times in
milliseconds.`,
  options: {
    relay: relayOption,
    quick: flag({ default: false, doc: "Leave out the check that waits." }),
    holdMs: duration({
      default: "0s",
      atMost: "1h",
      doc: "Wait on /link, which a relay holds for ten minutes, for so long; 0 waits on /inbox until the relay answers.",
    }),
    local: text({
      default: undefined,
      doc: "The relay's folder or database on this machine: measures how fast its disk keeps data for good.",
      allowed: "a file or folder name",
    }),
    timeoutMs: duration({
      default: "10s",
      atLeast: "10ms",
      atMost: "10m",
      doc: "How long an answer may take that should come at once.",
    }),
  },
  operandsMost: 1,
  async run({ values, given, operands: [operand], terminal }) {
    if (operand !== undefined && given.has("relay"))
      throw new OptionError("--relay: the URL is named already.");
    const relay = relayUrl(operand ?? values.relay ?? defaultRelay);
    const look: Look = { relay, signal: terminal.signal, answerMaxMs: values.timeoutMs };
    const findings: Finding[] = [];
    const examine = async (what: string, check: () => Finding | Promise<Finding>) => {
      let finding: Finding;
      {
        using _progress = terminal.progress(what);
        finding = await answered(check, what, terminal.signal);
      }
      findings.push(finding);
      if (!terminal.json)
        await terminal.write(`${marks[finding.outcome]}  ${finding.check.padEnd(10)}  ${finding.message}\n`);
      return finding;
    };
    const { local, quick, holdMs } = values;
    const reachable = await examine("Asking for an answer.", () => checkReachable(look));
    // A certificate that nobody trusts is why nothing answers: look at it in any case.
    if (reachable.outcome !== "failed" || relay.startsWith("https:"))
      await examine("Looking at the connection.", () => checkTransport(look, Date.now()));
    if (reachable.outcome !== "failed") {
      await examine("Comparing clocks.", () => checkClock(look, Date.now));
      await examine("Sending a message.", () => checkRoundTrip(look));
      await examine("Asking as a web page.", () => checkCors(look));
    }
    if (local !== undefined) await examine("Writing to the disk.", () => checkFsync(local));
    if (reachable.outcome !== "failed" && !quick)
      await examine("Holding a request.", () => checkHold(look, holdMs === 0 ? undefined : holdMs));

    const isWell = findings.every(({ outcome }) => outcome !== "failed");
    if (terminal.json) await terminal.writeJson({ url: relay, ok: isWell, checks: findings });
    return isWell ? exitCodes.ok : exitCodes.failed;
  },
});

function relayUrl(given: string): string {
  const url = URL.parse(given);
  if (!url || !/^https?:$/.test(url.protocol) || url.hash !== "" || url.search !== "")
    throw new OptionError("The URL is not possible; expected one such as https://relay.example.");
  return url.href.replace(/\/+$/, "").replace(/\/(inbox|link)$/, "");
}

/** A check that could not be made is a failed one. */
async function answered(
  check: () => Finding | Promise<Finding>,
  what: string,
  signal: AbortSignal,
): Promise<Finding> {
  try {
    return await check();
  } catch (error) {
    signal.throwIfAborted();
    const { message } = error as Error;
    return {
      check: what.split(" ")[0]!.toLowerCase(),
      outcome: "failed",
      message: `${what} ${message}`,
      figures: {},
    };
  }
}
