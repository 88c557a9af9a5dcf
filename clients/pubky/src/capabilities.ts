import { PubkyError } from "./errors.ts";

export type CapabilityAction = "r" | "w";

/** What may be done under a path: `scope ":" actions`. */
export interface Capability {
  /** Begins with `/`. Ending in `/` it covers everything below, else only itself. */
  readonly scope: string;
  /** Sorted, without repetition. */
  readonly actions: "" | "r" | "w" | "rw";
}

/** Capabilities as people write them: one comma-separated string, or a list of entries. */
export type CapabilitiesInput = string | readonly string[];

/**
 * Strict, for what an app asks and what a verifier accepts. An empty string is no capability at all.
 *
 * @throws PubkyError `capabilities_invalid`; `details.capabilities` lists the bad entries
 */
export function parseCapabilities(input: CapabilitiesInput): Capability[] {
  const entries = entriesOf(input);
  const parsed = entries.map(parseCapability);
  const invalid = entries.filter((_, at) => parsed[at] === undefined);
  if (invalid.length > 0) {
    throw new PubkyError("capabilities_invalid", {
      message: `Invalid capability entries: ${invalid.join(", ")}`,
      details: { capabilities: invalid },
    });
  }
  return parsed as Capability[];
}

/** Lenient, for what arrives in links: bad entries do not count, but are told of. */
export function readCapabilities(text: string): { capabilities: Capability[]; dropped: string[] } {
  const capabilities: Capability[] = [];
  const dropped: string[] = [];
  for (const entry of entriesOf(text)) {
    const capability = parseCapability(entry.trim());
    if (capability) capabilities.push(capability);
    else if (entry.trim() !== "") dropped.push(entry);
  }
  return { capabilities, dropped };
}

function entriesOf(input: CapabilitiesInput): readonly string[] {
  if (typeof input !== "string") return input;
  return input === "" ? [] : input.split(",");
}

/** One entry, or `undefined` where it is malformed. */
export function parseCapability(entry: string): Capability | undefined {
  const match = /^(\/[^:,]*):([rw]*)$/.exec(entry);
  return match ? { scope: match[1]!, actions: sortActions(match[2]!) } : undefined;
}

function sortActions(letters: string): Capability["actions"] {
  return `${letters.includes("r") ? "r" : ""}${letters.includes("w") ? "w" : ""}` as Capability["actions"];
}

export function formatCapability(capability: Capability): string {
  return `${capability.scope}:${capability.actions}`;
}

export function formatCapabilities(capabilities: readonly Capability[]): string {
  return capabilities.map(formatCapability).join(",");
}

/**
 * The one form every parser prints again unchanged, and so the only one to sign: same scope merged, nothing
 * covered by another entry, order of first appearance.
 */
export function normalizeCapabilities(capabilities: readonly Capability[]): Capability[] {
  const byScope = new Map<string, Capability>();
  for (const { scope, actions } of capabilities) {
    byScope.set(scope, { scope, actions: sortActions((byScope.get(scope)?.actions ?? "") + actions) });
  }
  const merged = [...byScope.values()];
  return merged.filter(
    (entry) =>
      !merged.some(
        (other) =>
          other !== entry &&
          scopeCovers(other.scope, entry.scope) &&
          [...entry.actions].every((action) => other.actions.includes(action)),
      ),
  );
}

/** Whether `capabilities` allow `action` on `path`. The slash at the end of a scope is significant. */
export function allows(capabilities: readonly Capability[], path: string, action: CapabilityAction): boolean {
  return capabilities.some(({ scope, actions }) => actions.includes(action) && scopeCovers(scope, path));
}

function scopeCovers(scope: string, path: string): boolean {
  return path === scope || (scope.endsWith("/") && path.startsWith(scope));
}

/** What was asked but not granted, and granted but not asked, action by action. */
export function compareCapabilities(
  asked: readonly Capability[],
  granted: readonly Capability[],
): { missing: Capability[]; extra: Capability[] } {
  return { missing: beyond(asked, granted), extra: beyond(granted, asked) };
}

function beyond(wanted: readonly Capability[], held: readonly Capability[]): Capability[] {
  return wanted.flatMap(({ scope, actions }) => {
    const lacking = [...actions].filter((action) => !allows(held, scope, action as CapabilityAction));
    return lacking.length > 0 ? [{ scope, actions: sortActions(lacking.join("")) }] : [];
  });
}
