/** SHA-256 of the first certificate in a PEM text, over its DER, in lower-case hex; `undefined` where there is none. */
export async function certificateHash(pem: string): Promise<string | undefined> {
  const block = /-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----/.exec(pem);
  if (block === null) return undefined;
  const der = Uint8Array.from(atob(block[1]!.replaceAll(/\s/g, "")), (char) => char.charCodeAt(0));
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", der));
  return Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
