/** The strong entity tag (RFC 9110, 8.8.3) of a version. */
export function entityTag(version: number): string {
  return `"${version}"`;
}

/** Does `If-Match` name this tag? Compares strongly, as RFC 9110, 13.1.1 wants. */
export function ifMatchNames(header: string, tag: string): boolean {
  return header.split(",").some((part) => part.trim() === "*" || part.trim() === tag);
}
