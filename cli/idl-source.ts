/** Where IDLs come from: a file, or an https URL that is read once and then kept, so that decoding stays what it was. */
import { mkdir, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { classify, Fatal, Transient } from "../pipeline/errors.ts";
import { readPackage } from "../pipeline/source/package-file.ts";
import { parseIdl } from "../stages/decode/idl-account.ts";

/** No program's IDL comes near. */
const LIMITS = { bytesMax: 16 * 1024 * 1024, timeoutMs: 30_000 } as const;

/**
 * The IDL at a path or https URL, as JSON. What was downloaded is kept in `cache` (a folder; null: it is not kept) and read
 * from there ever after: delete the file to have it fetched again. Throws `Fatal` IDL_FILE or IDL_INVALID, `Transient`
 * IDL_DOWNLOAD.
 */
export async function loadIdl(location: string, cache: string | null): Promise<unknown> {
  if (cache === null || !/^https?:/i.test(location)) return parseIdl(await read(location), location);
  const kept = join(cache, `${new Bun.CryptoHasher("sha256").update(location).digest("hex").slice(0, 16)}.json`);
  if (await Bun.file(kept).exists()) return parseIdl(await Bun.file(kept).bytes(), kept);
  const bytes = await read(location);
  const idl = parseIdl(bytes, location.replace(/\?.*$/, ""));
  await mkdir(cache, { recursive: true });
  const part = `${kept}.${process.pid}.part`;
  await writeFile(part, bytes);
  await rename(part, kept);
  return idl;
}

/** IDLs are fetched as packages are; what goes wrong is told of the IDL. */
async function read(location: string): Promise<Uint8Array> {
  try {
    return await readPackage(location, LIMITS);
  } catch (error) {
    const { kind, message, where } = classify(error);
    const details = { ...(where === undefined ? {} : { where }), cause: error };
    const text = message.replace("the package", "the IDL").replace("a package", "an IDL");
    if (kind === "transient") throw new Transient("IDL_DOWNLOAD", text, details);
    const hint = "`idl` is a JSON file, an https URL, or a file with the bytes of the program's IDL account.";
    throw new Fatal("IDL_FILE", text, { ...details, hint });
  }
}
