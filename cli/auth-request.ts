import { encodeBase64url, startAuthFlow } from "#clients/pubky/src/index.ts";
import { duration, flag, list } from "#core/options.ts";
import { defaultRelay, relayOption } from "./arguments.ts";
import { clientCommand } from "./client-command.ts";
import { exitCodes } from "./exit-codes.ts";

export const authRequest = clientCommand({
  name: "auth request",
  usage: "auth request [--caps LIST] [OPTIONS]",
  about: `
The app's side of Pubky Auth: shows a link and its QR code, for a person to approve with an authenticator such as Pubky
Ring or postern auth approve; waits; checks what comes back; and prints it as one line of JSON:

  {"publicKey":…,"capabilities":[…],"missing":[…],"issuedAt":…,"token":…}

The token, in base64url, shows who the person is to whoever verifies it: see postern auth verify. It is good for three
minutes; treat it as a password until then.

  postern auth request                                   only who the person is
  postern auth request --caps /pub/my.app/:rw            and that they let the app write there
  postern auth request --json | jq -r .token
The link goes to stderr, or with --json as a first line {"event":"link","url":…} to stdout with
{"event":"token", …} after it.`,
  options: {
    relay: relayOption,
    caps: list({
      default: [],
      doc: "Capabilities to ask for, as /pub/my.app/:rw, with commas between.",
      allowed: "entries such as /pub/my.app/:rw joined by commas",
    }),
    timeoutMs: duration({
      default: "5m",
      atLeast: "1ms",
      atMost: "1h",
      doc: "How long the person has to approve.",
    }),
    qr: flag({ default: false, doc: "Show the QR code even where stderr is no terminal." }),
  },
  operandsMost: 0,
  async run({ values, terminal }) {
    const relay = (values.relay ?? defaultRelay).replace(/\/+$/, "");
    const flow = startAuthFlow({
      capabilities: values.caps,
      relay: /\/(inbox|link)$/.test(relay) ? relay : `${relay}/inbox`,
      deadlineMs: values.timeoutMs,
      signal: terminal.signal,
    });
    const url = flow.authorizationUrl;
    if (terminal.json) await terminal.writeJson({ event: "link", url });
    else process.stderr.write(`Approve this request with an authenticator:\n\n    ${url}\n\n`);
    await terminal.showQr(url, values.qr);
    using waiting = terminal.progress("Waiting for the approval.");
    flow.subscribe(({ trouble }) => {
      if (trouble)
        waiting.say(trouble.status ? `The relay answers ${trouble.status}.` : "The relay does not answer.");
    });
    const { publicKey, capabilities, missing, issuedAt, tokenBytes } = await flow.result;
    waiting[Symbol.dispose]();
    await flow.settled;
    await terminal.writeJson({
      ...(terminal.json && { event: "token" }),
      publicKey: publicKey.z32,
      capabilities,
      missing,
      issuedAt: new Date(issuedAt).toISOString(),
      token: encodeBase64url(tokenBytes),
    });
    return exitCodes.ok;
  },
});
