/**
 * Objects in a local folder, one file each, on any file system with hard links. A file gets its name by `link`, which
 * fails when the name is taken: the file system's own compare-and-set. File and folder are synced before anything is said
 * to be stored.
 */
import { randomUUID } from "node:crypto";
import { constants, copyFile, link, mkdir, open, readdir, readFile, rm, stat } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { Fatal, SluiceError, Transient } from "../../pipeline/errors.ts";
import { sha256File, syncFile } from "./files.ts";
import { checkKey, type ObjectBody, type ObjectStore, type PutOutcome, sha256Of } from "./store.ts";

/** Begins the names of files that are being written. No key begins with a dot. */
const TEMPORARY = ".new-";

export class FolderStore implements ObjectStore {
  readonly name: string;
  private readonly root: string;

  /** The folder is made when the first object is stored. */
  constructor(folder: string) {
    this.root = resolve(folder);
    this.name = this.root;
  }

  async putIfAbsent(key: string, body: ObjectBody, sha256: string): Promise<PutOutcome> {
    const path = this.path(key);
    return this.guard(key, async () => {
      await this.makeFolder(dirname(path));
      const created = "path" in body ? await this.place(body.path, path) : await this.writeAndPlace(body, sha256, path);
      if (created) {
        await syncFile(dirname(path));
        return "created";
      }
      return (await sha256File(path)) === sha256 ? "exists-same" : "exists-other";
    });
  }

  async get(key: string): Promise<Uint8Array | null> {
    const path = this.path(key);
    return this.guard(key, () => ifThere(() => readFile(path)));
  }

  async head(key: string): Promise<{ bytes: number; modifiedAt: number } | null> {
    const path = this.path(key);
    const found = await this.guard(key, () => ifThere(() => stat(path)));
    return found === null || !found.isFile() ? null : { bytes: found.size, modifiedAt: found.mtimeMs };
  }

  async list(prefix: string): Promise<string[]> {
    const folder = prefix.includes("/") ? prefix.slice(0, prefix.lastIndexOf("/")) : "";
    return this.guard(prefix, async () => {
      const names =
        (await ifThere(() => readdir(join(this.root, folder), { recursive: true, withFileTypes: true }))) ?? [];
      const from = this.root.length + 1;
      return names
        .filter((entry) => entry.isFile() && !entry.name.startsWith("."))
        .map((entry) => join(entry.parentPath, entry.name).slice(from).replaceAll("\\", "/"))
        .filter((key) => key.startsWith(prefix))
        .sort();
    });
  }

  async delete(key: string): Promise<void> {
    await this.guard(key, () => rm(this.path(key), { force: true }));
  }

  async checksum(key: string): Promise<string | null> {
    const path = this.path(key);
    return this.guard(key, () => ifThere(() => sha256File(path)));
  }

  async localPath(key: string): Promise<string | null> {
    return (await this.head(key)) === null ? null : this.path(key);
  }

  release(): void {
    // The file is the object itself.
  }

  private path(key: string): string {
    checkKey(key);
    return join(this.root, key);
  }

  /** Makes a folder and those above it, and makes them durable: a file is lost with the folder that holds it. */
  private async makeFolder(folder: string): Promise<void> {
    const first = await mkdir(folder, { recursive: true });
    if (first === undefined) return;
    for (let made = folder; made.length >= first.length; made = dirname(made)) await syncFile(dirname(made));
  }

  /** Gives a durable file its name; false when the name is taken. A file on another device is copied first. */
  private async place(source: string, path: string): Promise<boolean> {
    try {
      return await linked(source, path);
    } catch (error) {
      if (codeOf(error) !== "EXDEV") throw error;
    }
    const temporary = temporaryBeside(path);
    try {
      await copyFile(source, temporary, constants.COPYFILE_EXCL);
      await syncFile(temporary);
      return await linked(temporary, path);
    } finally {
      await rm(temporary, { force: true });
    }
  }

  private async writeAndPlace(body: Uint8Array, sha256: string, path: string): Promise<boolean> {
    if (sha256Of(body) !== sha256) throw new Fatal("LAKE_CHECKSUM", "the bytes to store do not match their checksum");
    const temporary = temporaryBeside(path);
    try {
      const file = await open(temporary, "wx");
      try {
        await file.writeFile(body);
        await file.sync();
      } finally {
        await file.close();
      }
      return await linked(temporary, path);
    } finally {
      await rm(temporary, { force: true });
    }
  }

  private async guard<Result>(key: string, action: () => Promise<Result>): Promise<Result> {
    try {
      return await action();
    } catch (error) {
      if (error instanceof SluiceError) throw error;
      throw storeError(error, join(this.root, key));
    }
  }
}

async function linked(source: string, path: string): Promise<boolean> {
  try {
    await link(source, path);
    return true;
  } catch (error) {
    if (codeOf(error) === "EEXIST") return false;
    throw error;
  }
}

function temporaryBeside(path: string): string {
  return join(dirname(path), `${TEMPORARY}${randomUUID()}`);
}

async function ifThere<Result>(action: () => Promise<Result>): Promise<Result | null> {
  try {
    return await action();
  } catch (error) {
    if (codeOf(error) === "ENOENT" || codeOf(error) === "ENOTDIR") return null;
    throw error;
  }
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error ? String(error.code) : undefined;
}

const PASSING = new Set(["ENOSPC", "EDQUOT", "EIO", "EAGAIN", "EBUSY", "EMFILE", "ENFILE", "ESTALE", "ETIMEDOUT"]);
const NO_LINKS = new Set(["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS"]);

/** What a failure of the file system means for the lake. */
export function storeError(cause: unknown, where: string): SluiceError {
  const code = codeOf(cause) ?? "";
  const message = cause instanceof Error ? cause.message : String(cause);
  if (code === "ENOSPC" || code === "EDQUOT") {
    const hint = "Free space on the data disk; writing resumes by itself.";
    return new Transient("LAKE_DISK_FULL", `no space left for the lake: ${message}`, { where, hint, cause });
  }
  if (PASSING.has(code)) return new Transient("LAKE_IO", message, { where, cause });
  if (NO_LINKS.has(code)) {
    const hint = "The lake's folder must be on a file system with hard links (ext4, xfs, btrfs, apfs, zfs, nfs).";
    return new Fatal("LAKE_NO_LINKS", message, { where, hint, cause });
  }
  return new Fatal("LAKE_IO", message, {
    where,
    hint: "Check that the folder exists, and that this user may read and write what is in it.",
    cause,
  });
}
