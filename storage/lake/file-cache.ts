/**
 * Local copies of remote objects, up to a number of bytes: what was used longest ago goes first. Any number of processes
 * may share a folder. A file that was used a moment ago, by any of them, is not taken away from under its reader.
 */
import { randomUUID } from "node:crypto";
import { link, mkdir, readdir, rename, rm, stat, utimes } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { Fatal } from "../../pipeline/errors.ts";
import type { World } from "../../pipeline/world.ts";

export interface FileCacheOptions {
  readonly folder: string;
  readonly maxBytes: number;
  readonly world: Pick<World, "now">;
}

/** A copy is kept for so long after its last use, unless it is released. */
const IN_USE_MS = 10 * 60_000;
/** Leftovers of downloads that a crash has cut off. */
const TEMPORARY = ".get-";

interface Copy {
  readonly path: string;
  readonly bytes: number;
  readonly usedAt: number;
}

export class FileCache {
  private readonly o: FileCacheOptions;
  private readonly coming = new Map<string, Promise<void>>();
  private readonly released = new Set<string>();
  /** Bytes of all copies, as far as known; null: not looked yet. */
  private bytes: number | null = null;

  constructor(options: FileCacheOptions) {
    this.o = options;
  }

  /** Path of the copy, if there is one: it is whole, because it got its name when it was. */
  async copyOf(key: string): Promise<string | null> {
    const path = join(this.o.folder, key);
    const at = new Date(this.o.world.now());
    const used = await utimes(path, at, at).then(
      () => true,
      () => false,
    );
    if (used) this.released.delete(key);
    return used ? path : null;
  }

  /**
   * Path of the copy of an object of so many bytes; `download` makes it at the path given, if it is not here. Throws
   * `Fatal` LAKE_CACHE_FULL when what is in use leaves no room.
   */
  async path(key: string, bytes: number, download: (path: string) => Promise<void>): Promise<string> {
    this.released.delete(key);
    const path = join(this.o.folder, key);
    const here = await stat(path).catch(() => null);
    if (here?.size !== bytes) {
      const coming = this.coming.get(key) ?? this.fetch(path, bytes, download).finally(() => this.coming.delete(key));
      this.coming.set(key, coming);
      await coming;
    }
    const at = new Date(this.o.world.now());
    await utimes(path, at, at);
    return path;
  }

  /** Takes a file over that this host has anyway, if it can be had for nothing: by a link. */
  async adopt(key: string, file: string): Promise<void> {
    const path = join(this.o.folder, key);
    const { size } = await stat(file);
    if ((await this.makeRoom(size)) > 0) return;
    await mkdir(dirname(path), { recursive: true });
    const linked = await link(file, path).then(
      () => true,
      () => false,
    );
    if (linked && this.bytes !== null) this.bytes += size;
    this.released.add(key);
  }

  /** The copy is not needed any more: it may go before others that were used longer ago. */
  release(key: string): void {
    this.released.add(key);
  }

  async drop(key: string): Promise<void> {
    await rm(join(this.o.folder, key), { force: true });
    this.bytes = null;
  }

  /** The copies that there are. */
  async list(): Promise<readonly { readonly key: string; readonly bytes: number }[]> {
    const copies = await copiesIn(this.o.folder);
    return copies
      .filter(({ path }) => !basename(path).startsWith(TEMPORARY))
      .map(({ path, bytes }) => ({ key: path.slice(this.o.folder.length + 1), bytes }));
  }

  /** Removes a copy unless somebody, in any process, has used it a moment ago; says whether it is gone. */
  async evict(key: string): Promise<boolean> {
    const path = join(this.o.folder, key);
    const found = await stat(path).catch(() => null);
    if (found !== null && this.o.world.now() - found.mtimeMs < IN_USE_MS) return false;
    await this.drop(key);
    return true;
  }

  private async fetch(path: string, bytes: number, download: (path: string) => Promise<void>): Promise<void> {
    const lacking = await this.makeRoom(bytes);
    if (lacking > 0) {
      throw new Fatal("LAKE_CACHE_FULL", `no room for ${bytes} bytes in the cache of ${this.o.maxBytes}`, {
        where: this.o.folder,
        hint: "All of it is in use: ask for less (a range of block_time), or raise lake.cacheMaxBytes.",
      });
    }
    await mkdir(dirname(path), { recursive: true });
    const temporary = join(dirname(path), `${TEMPORARY}${randomUUID()}`);
    try {
      await download(temporary);
      await rename(temporary, path);
    } finally {
      await rm(temporary, { force: true });
    }
    if (this.bytes !== null) this.bytes += bytes;
  }

  /** Removes copies until `bytes` fit; returns how many bytes are lacking. */
  private async makeRoom(bytes: number): Promise<number> {
    const { maxBytes, folder, world } = this.o;
    if (this.bytes !== null && this.bytes + bytes <= maxBytes) return 0;
    const copies = await copiesIn(folder);
    let total = copies.reduce((sum, copy) => sum + copy.bytes, 0);
    const isReleased = (copy: Copy) => this.released.has(copy.path.slice(folder.length + 1));
    const order = (copy: Copy) => (isReleased(copy) ? 0 : copy.usedAt);
    for (const copy of copies.sort((a, b) => order(a) - order(b))) {
      if (total + bytes <= maxBytes) break;
      if (!isReleased(copy) && world.now() - copy.usedAt < IN_USE_MS) continue;
      await rm(copy.path, { force: true });
      total -= copy.bytes;
    }
    this.bytes = total;
    return Math.max(0, total + bytes - maxBytes);
  }
}

async function copiesIn(folder: string): Promise<Copy[]> {
  const names = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  const copies = names.map(async (name): Promise<Copy | null> => {
    if (!name.isFile()) return null;
    const path = join(name.parentPath, name.name);
    // Another process may have removed it meanwhile.
    const found = await stat(path).catch(() => null);
    return found === null ? null : { path, bytes: found.size, usedAt: found.mtimeMs };
  });
  return (await Promise.all(copies)).filter((copy) => copy !== null);
}
