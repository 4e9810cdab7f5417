/** Where IDLs come from: a file, or an https URL. */
import { classify, Fatal, Transient } from "../pipeline/errors.ts";
import { readPackage } from "../pipeline/source/package-file.ts";
import { parseIdl } from "../stages/decode/idl-account.ts";
import { keptBytes } from "./kept-download.ts";

/** No program's IDL comes near. */
const LIMITS = { bytesMax: 16 * 1024 * 1024, timeoutMs: 30_000 } as const;

/**
 * The IDL at a path or https URL, as JSON. What is downloaded is kept in the folder `kept` (null: it is not). Throws `Fatal`
 * IDL_FILE or IDL_INVALID, `Transient` IDL_DOWNLOAD.
 */
export async function loadIdl(location: string, kept: string | null): Promise<unknown> {
  return parseIdl(await keptBytes(location, kept, read), location.replace(/\?.*$/, ""));
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
