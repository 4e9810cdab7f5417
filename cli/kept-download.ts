/** Files that settings name by URL are read once and then kept, so that what is decoded, and how, stays what it was. */
import { mkdir, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";

/**
 * The bytes at a path or URL, read by `read`. What came from a URL is kept in `folder` (null: nowhere) and read from there ever
 * after: delete the file to have it fetched again.
 */
export async function keptBytes(
  location: string,
  folder: string | null,
  read: (location: string) => Promise<Uint8Array>,
): Promise<Uint8Array> {
  if (folder === null || !/^https?:/i.test(location)) return read(location);
  const kept = join(folder, new Bun.CryptoHasher("sha256").update(location).digest("hex").slice(0, 16));
  if (await Bun.file(kept).exists()) return Bun.file(kept).bytes();
  const bytes = await read(location);
  await mkdir(folder, { recursive: true });
  const part = `${kept}.${process.pid}.part`;
  await writeFile(part, bytes);
  await rename(part, kept);
  return bytes;
}
