/** A request's JSON lacks a member or holds one of another type. Names the member, never its value. */
export class ShapeError extends Error {
  override readonly name = "ShapeError";
}

export type Members = Readonly<Record<string, unknown>>;

/** JSON is UTF-8 (RFC 8259, 8.1); what is not would be kept with other letters than were sent. */
const utf8 = new TextDecoder("utf-8", { fatal: true });

/** The object that a text of JSON is. Throws `ShapeError`. */
export function parseMembers(json: Uint8Array): Members {
  let value: unknown;
  try {
    value = JSON.parse(utf8.decode(json));
  } catch {
    // The parser's own message quotes the text.
    throw new ShapeError("not JSON");
  }
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new ShapeError("not an object");
  return value as Members;
}

export function stringMember(members: Members, name: string): string {
  const value = members[name];
  if (typeof value !== "string") throw new ShapeError(`\`${name}\` must be a string`);
  // Half of a surrogate pair has no bytes in UTF-8: it could not be given back.
  if (!value.isWellFormed()) throw new ShapeError(`\`${name}\` must be Unicode text`);
  return value;
}

/** Undefined where the member is absent or null. */
export function optionalString(members: Members, name: string): string | undefined {
  return members[name] === undefined || members[name] === null ? undefined : stringMember(members, name);
}

export function stringsMember(members: Members, name: string): readonly string[] {
  const value = members[name];
  if (!Array.isArray(value) || !value.every((one) => typeof one === "string")) {
    throw new ShapeError(`\`${name}\` must be a list of strings`);
  }
  return value;
}

/** An unsigned number; one beyond 2^53 is given as it is rounded, which no limit of ours reaches. */
export function unsignedMember(members: Members, name: string): number {
  const value = members[name];
  if (typeof value !== "number" || !Number.isInteger(value) || value < 0) {
    throw new ShapeError(`\`${name}\` must be an unsigned integer`);
  }
  return value;
}

export function optionalUnsigned(members: Members, name: string): number | undefined {
  return members[name] === undefined || members[name] === null ? undefined : unsignedMember(members, name);
}
