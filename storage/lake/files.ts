/** Local files: checksums, bytes that are on the disk when it is said so, and the way of a data file into the lake. */
import { open } from "node:fs/promises";
import { Fatal } from "../../pipeline/errors.ts";
import type { FileEntry } from "./entry.ts";
import type { ObjectStore } from "./store.ts";

/** SHA-256 of a file, hex; reads it in pieces. */
export async function sha256File(path: string): Promise<string> {
  const hasher = new Bun.CryptoHasher("sha256");
  for await (const piece of Bun.file(path).stream()) hasher.update(piece);
  return hasher.digest("hex");
}

/** Waits until what was written to a file, or the names in a folder, are on the disk. */
export async function syncFile(path: string): Promise<void> {
  const file = await open(path, "r");
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Stores a data file under the key made from its content: what is there under that key already must be the same. */
export async function putFile(store: ObjectStore, key: string, path: string, sha256: string): Promise<void> {
  if ((await store.putIfAbsent(key, { path }, sha256)) !== "exists-other") return;
  throw new Fatal("LAKE_FILE_TAKEN", `${key} exists with other bytes than its name says`, {
    where: store.name,
    hint: "It was damaged, or not written by Sluice. Move it away if no manifest entry names it (`sluice verify`).",
  });
}

/**
 * Where a data file of the manifest can be read, known to be what was written: what is written anew from a damaged file would
 * get a checksum of its own, and nobody would ever know. Throws `Fatal` LAKE_FILE_MISSING, LAKE_FILE_DAMAGED.
 */
export async function soundPath(store: ObjectStore, { key, sha256 }: FileEntry): Promise<string> {
  const path = await store.localPath(key);
  if (path === null) {
    throw new Fatal("LAKE_FILE_MISSING", `${key} is in the manifest, but not in the lake`, {
      where: store.name,
      hint: "`sluice verify` tells what else is missing.",
    });
  }
  const found = await sha256File(path);
  if (found === sha256) return path;
  throw new Fatal("LAKE_FILE_DAMAGED", `${key} is not what was written: its checksum is ${found}`, {
    where: store.name,
    hint: "Restore it from a copy of the lake. `sluice verify` tells what else is damaged.",
  });
}
