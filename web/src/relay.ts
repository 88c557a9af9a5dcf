import type { RelayFacts } from "../relay-facts.ts";

/** What each section is given. */
export interface Relay {
  /** Its URL as this browser reached it, without a slash at the end. */
  readonly url: string;
  readonly facts: RelayFacts;
}

/** The relay that served this page, below whatever path a proxy put it. */
export async function askRelay(): Promise<Relay> {
  const response = await fetch("relay.json");
  if (!response.ok) throw new Error(`relay.json: ${response.status}`);
  return { url: new URL(".", location.href).href.replace(/\/$/, ""), facts: await response.json() };
}
