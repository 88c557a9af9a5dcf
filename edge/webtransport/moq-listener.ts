import { WebTransportUnavailableError } from "./webtransport-listener.ts";
export async function listenMoq(..._: unknown[]): Promise<never> {
  throw new WebTransportUnavailableError("x");
}
