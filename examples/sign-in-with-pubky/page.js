import { resumeAuthFlow, startAuthFlow } from "@postern/pubky";
import QRCode from "qrcode";

const element = (id) => document.getElementById(id);
const show = (...ids) => {
  for (const id of ["request", "confirm", "again", "out"]) element(id).hidden = !ids.includes(id);
};
const say = (text) => {
  element("state").textContent = text;
};

async function signIn() {
  const { relay, capabilities } = await (await fetch("/config")).json();
  // After a reload the same request goes on, and the code that was scanned already stays good.
  const saved = sessionStorage.getItem("sign-in");
  const options = { exchange, onStatus };
  const flow = saved
    ? resumeAuthFlow(JSON.parse(saved), options)
    : startAuthFlow({ relay, capabilities, ...options });
  sessionStorage.setItem("sign-in", JSON.stringify(flow.save()));

  element("link").href = flow.authorizationUrl;
  await QRCode.toCanvas(element("code"), flow.authorizationUrl);
  show("request");
  try {
    const { publicKey } = await flow.result;
    welcome(publicKey.z32);
  } catch (error) {
    say(error.cause?.message ?? error.message);
    show("again");
  } finally {
    // The saved request holds a secret that is of no use any more.
    sessionStorage.removeItem("sign-in");
  }
}

function onStatus({ state, trouble }) {
  if (state === "asking") say("Scan the code with your authenticator.");
  if (state === "pausing" && trouble) say("The relay does not answer; still trying.");
}

/** The person confirms, then the server takes the token. Only after that may the relay forget it. */
async function exchange({ publicKey, tokenBytes }, signal) {
  // Whoever saw the code could have answered it with a key of their own.
  await confirmed(publicKey.toString());
  const response = await fetch("/session", { method: "POST", body: tokenBytes, signal });
  if (!response.ok) throw new Error(`The server refused: ${(await response.json()).message}`);
}

function confirmed(who) {
  element("who").textContent = who;
  say("");
  show("confirm");
  return new Promise((resolve, reject) => {
    element("yes").onclick = () => resolve();
    element("no").onclick = () => reject(new Error("You did not sign in."));
  });
}

function welcome(pubky) {
  say(`Signed in as ${pubky}`);
  show("out");
}

element("again").onclick = signIn;
element("out").onclick = async () => {
  await fetch("/session", { method: "DELETE" });
  await signIn();
};

const session = await fetch("/session");
if (session.ok) welcome((await session.json()).pubky);
else await signIn();
