import type { Clock } from "#core/clock.ts";
import type { Transport } from "#wire/live/transport.ts";
import { type ProtocolName, protocolNames } from "#wire/live/version.ts";
import type { MoqBinding, NativeClient, NativeSession } from "./moq-binding.ts";
import { MoqSession } from "./moq-session.ts";

export interface DialWebTransportOptions {
  /** How long the other side may take to answer. */
  connectTimeoutMs: number;
  /** Whether its certificate must be one that the system trusts. */
  verify: boolean;
  /** The versions to offer, what we like best first; all that are final where it is left out. */
  names?: readonly ProtocolName[] | undefined;
}

/**
 * Opens a WebTransport session of live with another relay, in the version that it selects of ours; where it selects none,
 * SETUP decides. For an `http:` URL the certificate is the one whose hash is told there. Rejects if there is none.
 *
 * `open` is given the transport before anything arrives, and sets its handler.
 */
export async function dialWebTransport(
  url: URL,
  options: DialWebTransportOptions,
  clock: Clock,
  binding: MoqBinding,
  open: (transport: Transport) => void,
): Promise<void> {
  const abort = new AbortController();
  const late = Promise.withResolvers<never>();
  const cancel = clock.after(options.connectTimeoutMs, () => {
    abort.abort();
    late.reject(new Error("no answer in time"));
  });
  const { names = protocolNames } = options;
  const connecting = connect(url, { ...options, names }, binding, abort.signal);
  try {
    const native = await Promise.race([connecting, late.promise]);
    const version = names.find(({ name }) => name === native.protocol)?.version;
    const session = new MoqSession(native, "client", version);
    open(session);
    void session.run();
  } catch (error) {
    connecting.then(
      (native) => native.close(0, ""),
      () => {},
    );
    throw error;
  } finally {
    cancel();
  }
}

async function connect(
  url: URL,
  { verify, names }: DialWebTransportOptions & { names: readonly ProtocolName[] },
  { NapiClient }: MoqBinding,
  signal: AbortSignal,
): Promise<NativeSession> {
  let client: NativeClient;
  if (url.protocol === "http:") client = NapiClient.withCertificateHashes([await hashAt(url, signal)]);
  else client = verify ? NapiClient.withSystemRoots() : NapiClient.disableVerify();
  const target = new URL(url);
  target.protocol = "https:";
  return await client.connect(target.href, { protocols: names.map(({ name }) => name) });
}

async function hashAt(url: URL, signal: AbortSignal): Promise<Buffer> {
  const answer = await fetch(new URL("/certificate.sha256", url), { signal });
  const text = answer.ok ? (await answer.text()).trim() : "";
  if (!/^[0-9a-f]{64}$/i.test(text)) throw new Error("it tells no hash of a certificate");
  return Buffer.from(text, "hex");
}
