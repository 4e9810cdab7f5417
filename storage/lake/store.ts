/**
 * Where the lake's objects rest: a local folder, or a bucket behind the same contract. The operations are chosen so that an
 * S3-compatible store has them all: an object is written once under its key and never changed.
 * One conformance suite (`store.conformance.ts`) runs on every implementation.
 *
 * Every operation rejects with `Transient` when trying again may help (network, full disk) and with `Fatal` when it will
 * not (no permission, no such bucket). Messages never hold credentials.
 */
import { Fatal } from "../../pipeline/errors.ts";

/** The bytes of an object, or a local file that holds them. */
export type ObjectBody = Uint8Array | { readonly path: string };

/**
 * - `created`: the object is there now, durably, and was not before.
 * - `exists-same`: an object with this checksum was there already, or an earlier try had stored it after all.
 * - `exists-other`: the key is taken by other bytes; nothing was changed.
 */
export type PutOutcome = "created" | "exists-same" | "exists-other";

export interface ObjectStore {
  /** For messages: a folder or a bucket with its prefix. */
  readonly name: string;
  /**
   * Stores an object under a key that must be free; atomic: other readers see all of it or nothing. `sha256` (hex) is that
   * of the body. A body file stays where it is and must not be written to afterwards.
   */
  putIfAbsent(key: string, body: ObjectBody, sha256: string): Promise<PutOutcome>;
  /** The whole object; null when there is none. For small objects: entries, not data files. */
  get(key: string): Promise<Uint8Array | null>;
  /** Size of an object in bytes, and when it was stored (ms since the Unix epoch); null when there is none. */
  head(key: string): Promise<{ readonly bytes: number; readonly modifiedAt: number } | null>;
  /** Keys that begin with `prefix`, sorted. For upkeep and verification: what the lake holds is what the manifest says. */
  list(prefix: string): Promise<string[]>;
  /** Deletes an object; resolves also when there is none. */
  delete(key: string): Promise<void>;
  /** SHA-256 (hex) of the bytes as they are in the store now, read whole; null when there is none. */
  checksum(key: string): Promise<string | null>;
  /** Path of a local file with the object's bytes, for DuckDB; null when there is none. A remote store keeps a cache. */
  localPath(key: string): Promise<string | null>;
  /** The local file is not needed any more: a cache may reuse its room. */
  release(key: string): void;
}

/** Letters, digits and `= _ - .` in parts joined by `/`: the same on every file system, and nothing that leaves the root. */
const KEY = /^[A-Za-z0-9=_-][A-Za-z0-9=_.-]*(\/[A-Za-z0-9=_-][A-Za-z0-9=_.-]*)*$/;
const KEY_LENGTH_MAX = 512;

export function isKey(key: string): boolean {
  return key.length <= KEY_LENGTH_MAX && KEY.test(key);
}

/** Throws `Fatal` for a key that could mean something else to a file system or a bucket. */
export function checkKey(key: string): void {
  if (!isKey(key)) {
    throw new Fatal("LAKE_KEY", `${JSON.stringify(key.slice(0, 80))} cannot be the key of an object`, {
      hint: "Keys are parts of letters, digits and = _ - . joined by slashes.",
    });
  }
}

/** SHA-256, hex. */
export function sha256Of(bytes: Uint8Array): string {
  return new Bun.CryptoHasher("sha256").update(bytes).digest("hex");
}
