/** Path and query: `GET http://host/path` (RFC 9112, 3.2.2) asks for `/path`. */
export function originForm(target: string): string {
  // A fragment is the client's own affair; one that was sent all the same names nothing.
  const fragment = target.indexOf("#");
  const whole = fragment < 0 ? target : target.slice(0, fragment);
  if (whole.startsWith("/")) return whole;
  const match = /^https?:\/\/[^/?]*(.*)/i.exec(whole);
  if (!match) return whole;
  return match[1]!.startsWith("/") ? match[1]! : `/${match[1]}`;
}
