/**
 * The body of a successful answer of at most `maxLength` bytes, within `timeoutMs`. Rejects for anything else, without
 * saying more than that in its message.
 */
export async function fetchText(url: string, maxLength: number, timeoutMs: number): Promise<string> {
  const response = await fetch(url, { redirect: "error", signal: AbortSignal.timeout(timeoutMs) });
  if (!response.ok || !response.body) throw new Error(`answered ${response.status}`);
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of response.body) {
    length += chunk.byteLength;
    if (length > maxLength) throw new Error("answered more than expected");
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}
