import { byId, make } from "../dom.ts";
import type { Relay } from "../relay.ts";

/** What this relay is and its limits in effect. */
export function showLimits({ facts }: Relay): void {
  byId("version").textContent = `version ${facts.version}`;
  const { rendezvous, mailbox, modes } = facts;
  const on = [
    modes.rendezvous && "rendezvous",
    modes.mailbox && "mailbox",
    modes.live && "live",
    modes.ohttp && "oblivious HTTP",
  ].filter((mode) => mode !== false);
  byId("modes").replaceChildren(...on.map((mode) => make("li", "", mode)));

  const rows: [value: string, name: string][] = [
    [bytesText(rendezvous.maxBodyBytes), "largest message"],
    [spanText(rendezvous.keptMs), "a message is kept, unless it is taken first"],
    [spanText(rendezvous.inboxWaitMs), "a read waits for a message"],
    [
      rendezvous.durable ? "On disk" : "In memory",
      rendezvous.durable ? "before a message is accepted" : "so a restart forgets messages",
    ],
    [
      facts.requestsPerMinute === null ? "No limit" : `${facts.requestsPerMinute} a minute`,
      "on requests of one client",
    ],
  ];
  if (mailbox) {
    rows.push([
      `${bytesText(mailbox.maxMessageBytes)}, ${spanText(mailbox.keptMs)}`,
      "a mailbox message at most",
    ]);
  }
  byId("limits").replaceChildren(
    ...rows.map(([value, name]) => make("div", "limit", make("dt", "", name), make("dd", "", value))),
  );
}

function bytesText(bytes: number): string {
  if (bytes < 10_000) return `${bytes} bytes`;
  return bytes < 2 ** 20 ? `${Math.round(bytes / 1024)} KiB` : `${Math.round(bytes / 2 ** 20)} MiB`;
}

/** The longest unit that gives a round number. */
function spanText(ms: number): string {
  for (const [unit, unitMs] of [
    ["day", 86_400_000],
    ["hour", 3_600_000],
    ["minute", 60_000],
    ["second", 1000],
  ] as const) {
    const count = ms / unitMs;
    if (Number.isInteger(count)) return `${count} ${unit}${count === 1 ? "" : "s"}`;
  }
  return `${ms} ms`;
}
