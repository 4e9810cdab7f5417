/** A small lake for tests: blocks and rolls of trades, a sink on a folder of its own, and the rows that readers find. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TRADES } from "../../pipeline/datasets/trades.ts";
import type { BlockMeta, Position } from "../../pipeline/position.ts";
import type { Roll, Segment } from "../../pipeline/wire/roll.ts";
import type { Step } from "../sink.ts";
import { Duck } from "./duckdb.ts";
import type { Lineage } from "./entry.ts";
import { FolderStore } from "./folder-store.ts";
import { LakeReader } from "./reader.ts";
import { EVERYTHING, tradeRow, tradeTable } from "./rows-fixture.ts";
import { LakeSink, type LakeSinkOptions } from "./sink.ts";
import { parquetOf } from "./sorted-file.ts";
import type { ObjectStore } from "./store.ts";

export const LIVE: Lineage = { kind: "live", source: "main", dataset: "all", start: null, stop: null };
export const MIDNIGHT = 1_700_006_400;

export const testBlock = (slot: number, time = MIDNIGHT + slot): BlockMeta => ({
  slot,
  hash: `${slot}a`,
  cursor: `cursor-${slot}a`,
  time,
  finalSlot: slot,
});

export const positionOf = ({ slot, hash, cursor }: BlockMeta): Position => ({ slot, hash, cursor, moduleHash: "ab" });

/** One trade a block, numbered by its slot, with the block's hash as its kind: every block leaves a trace. */
export function segmentOf(blocks: readonly BlockMeta[]): Segment {
  const rows = blocks.map((b) => ({ ...tradeRow(b.slot, b.slot, b.time), kind: b.hash }));
  return {
    first: blocks[0]!,
    last: blocks.at(-1)!,
    blocks: blocks.length,
    tables: [tradeTable(rows)],
  };
}

export const rollOf = (blocks: readonly BlockMeta[]): Roll => ({ segments: [segmentOf(blocks)] });

/** A step that adds `blocks`; the last of them, and of all, is `next`. */
export function stepOf(prev: BlockMeta | null, next: BlockMeta, finalSlot = next.slot, blocks = [next]): Step {
  return { prev: prev && positionOf(prev), next: positionOf(next), finalSlot, blocks, inputSeq: 1 };
}

export class LakeFolder {
  readonly root: string;
  readonly store: FolderStore;
  private readonly sinks: LakeSink[] = [];

  private constructor(root: string) {
    this.root = root;
    this.store = new FolderStore(join(root, "lake"));
  }

  static async make(): Promise<LakeFolder> {
    return new LakeFolder(await mkdtemp(join(tmpdir(), "lake-")));
  }

  options(changes: Partial<LakeSinkOptions> = {}): LakeSinkOptions {
    return {
      store: this.store,
      workDir: join(this.root, "work"),
      lineage: LIVE,
      datasets: [TRADES, EVERYTHING],
      package: "test-v0.1.0 map_events",
      ...changes,
    };
  }

  async open(changes: Partial<LakeSinkOptions> = {}): Promise<LakeSink> {
    const sink = new LakeSink(this.options(changes));
    this.sinks.push(sink);
    await sink.open();
    return sink;
  }

  /** Commits a roll of one trade for each slot, for each of the lists given. */
  async fill(rolls: readonly (readonly number[])[], changes: Partial<LakeSinkOptions> = {}): Promise<void> {
    const sink = await this.open(changes);
    let prev: BlockMeta | null = null;
    for (const slots of rolls) {
      const blocks = slots.map((slot) => testBlock(slot));
      await sink.commit(stepOf(prev, blocks.at(-1)!), rollOf(blocks));
      prev = blocks.at(-1)!;
    }
    await sink.close();
  }

  /** One roll for each list of blocks, given as [slot, seconds after midnight]. */
  async fillAt(rolls: readonly (readonly (readonly [number, number])[])[], changes: Partial<LakeSinkOptions> = {}) {
    const sink = await this.open(changes);
    let prev = null;
    for (const roll of rolls) {
      const blocks = roll.map(([slot, seconds]) => testBlock(slot, MIDNIGHT + seconds));
      await sink.commit(stepOf(prev, blocks.at(-1)!, blocks.at(-1)!.slot, blocks), rollOf(blocks));
      prev = blocks.at(-1)!;
    }
    await sink.close();
  }

  async dispose(): Promise<void> {
    for (const sink of this.sinks) await sink.close();
    await rm(this.root, { recursive: true, force: true });
  }
}

/** Every trade of the lake as a reader sees it, sorted; of one source, or of all. */
export async function rowsIn(store: ObjectStore, source?: string): Promise<string[]> {
  const { files } = await new LakeReader(store).read();
  const own = (files.get("trades") ?? []).filter((file) => source === undefined || file.source === source);
  const duck = await Duck.open();
  const rows: string[] = [];
  for (const { key } of own)
    rows.push(
      ...(await duck.rows(`FROM ${parquetOf((await store.localPath(key))!)}`)).map((row) => row.map(String).join("|")),
    );
  duck.close();
  return rows.sort();
}

/** A store that runs `before` ahead of every operation that writes: to fail there, as a crash or an outage does. */
export function watchedStore(inner: ObjectStore, before: (operation: string, key: string) => void): ObjectStore {
  return {
    name: inner.name,
    async putIfAbsent(key, body, sha256) {
      before("put", key);
      const outcome = await inner.putIfAbsent(key, body, sha256);
      before("stored", key);
      return outcome;
    },
    get: (key) => inner.get(key),
    head: (key) => inner.head(key),
    list: (prefix) => inner.list(prefix),
    async delete(key) {
      before("delete", key);
      await inner.delete(key);
    },
    checksum: (key) => inner.checksum(key),
    localPath: (key) => inner.localPath(key),
    release: (key) => inner.release(key),
  };
}

class Killed extends Error {}

/** Runs `act`, whose process ends before its write number `writes` + 1, counted from 1; resolves to whether it came so far. */
export async function killedAfter(
  store: ObjectStore,
  writes: number,
  act: (store: ObjectStore) => Promise<unknown>,
): Promise<boolean> {
  let done = 0;
  const dying = watchedStore(store, () => {
    if (++done > writes) throw new Killed();
  });
  try {
    await act(dying);
    return false;
  } catch (error) {
    if (error instanceof Killed) return true;
    throw error;
  }
}
