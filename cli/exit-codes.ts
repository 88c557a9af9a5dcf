/** What `postern` ends with. Scripts may rely on these. */
export const exitCodes = {
  ok: 0,
  /** Something went wrong that is not below: no network, a file that cannot be read, a relay that is busy or full. */
  failed: 1,
  /** Asked for in a way that cannot be: an unknown option, a malformed id, code or link. */
  usage: 2,
  /** Time ran out: nobody came, the message or the token expired. */
  timedOut: 3,
  /** The person declined, the relay refused for good, or the token is not valid. */
  refused: 4,
  /** Ctrl-C. */
  interrupted: 130,
} as const;

/** The end of every `--help`. */
export const exitCodesHelp =
  "Exit codes: 0 done, 1 failed, 2 usage, 3 timed out or expired, 4 declined or refused, 130 interrupted.\n";
