import { inheritedSocket } from "#edge/http/listener.ts";
import type { ListenAt } from "#edge/http/listener-setup.ts";
import { type Config, OptionError } from "./options.ts";

export interface PublicAddress {
  readonly at: ListenAt;
  /** Whether it speaks HTTPS. */
  readonly tls: boolean;
}

/**
 * Where the daemon listens for everybody: its main address first, then those that `web-http-listen` and
 * `web-https-listen` add. The main one speaks HTTPS where a certificate was given, unless one of the two names it. A
 * certificate of our own making changes nothing there: who is asked to trust it by its hash learns that over plain HTTP.
 */
export function publicAddresses(config: Config, env: NodeJS.ProcessEnv): PublicAddress[] {
  const main = inheritedSocket(env, process.pid) ?? listenAddress(config);
  const further = [
    { listen: config.webHttpListen, tls: false },
    { listen: config.webHttpsListen, tls: true },
  ].flatMap(({ listen, tls }) => (listen === undefined ? [] : [{ at: hostAndPort(listen), tls }]));
  if (config.webHttpsListen !== undefined && config.tlsCert.length + config.tlsGenerate.length === 0) {
    throw new OptionError("--web-https-listen: needs tls-cert and tls-key, or tls-generate.");
  }
  const same = further.find(({ at }) => "host" in main && at.host === main.host && at.port === main.port);
  return [
    { at: main, tls: same ? same.tls : config.tlsCert.length > 0 },
    ...further.filter((address) => address !== same),
  ];
}

/** `listen` wins over `bind` and `port`. Its operators promised TLS in front of what is open to others. */
function listenAddress({ listen, bind, port, tlsVerified, tlsCert, tlsGenerate }: Config): ListenAt {
  if (listen === undefined) return { host: bind!, port };
  const at = hostAndPort(listen);
  if (!isLoopback(at.host) && !tlsVerified && tlsCert.length + tlsGenerate.length === 0) {
    throw new Error(
      `--listen ${listen} is open to others: put TLS in front and set --tls-verified, or give --tls-cert and --tls-key`,
    );
  }
  return at;
}

/** The parts of `HOST:PORT`; an IPv6 address stands in brackets. */
export function hostAndPort(address: string): { host: string; port: number } {
  const colon = address.lastIndexOf(":");
  return {
    host: address.slice(0, colon).replace(/^\[(.*)\]$/, "$1"),
    port: Number(address.slice(colon + 1)),
  };
}

/** Whether only this machine reaches it. */
export const isLoopback = (host: string): boolean =>
  host === "localhost" || host === "::1" || host.startsWith("127.");
