/** Payloads in a file, each behind its length as a little-endian u32, so that every contender reads the same bytes. */
import { readFile, writeFile } from "node:fs/promises";

export async function writeFrames(file: string, payloads: Iterable<Uint8Array>): Promise<void> {
  const parts: Uint8Array[] = [];
  for (const payload of payloads) parts.push(new Uint8Array(Uint32Array.of(payload.length).buffer), payload.slice());
  await writeFile(file, Buffer.concat(parts));
}

export async function readFrames(file: string): Promise<Uint8Array[]> {
  const bytes = new Uint8Array(await readFile(file));
  const view = new DataView(bytes.buffer);
  const payloads: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; ) {
    const start = at + 4;
    at = start + view.getUint32(at, true);
    payloads.push(bytes.subarray(start, at));
  }
  return payloads;
}
