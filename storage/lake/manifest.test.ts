/**
 * The manifest. Goal: one history however many write it, found in a few look-ups however long it is, and read so strictly
 * that nothing doubtful is taken for an entry. Method: real entries in a folder; damage is done to their files.
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import fc from "fast-check";
import { TRADES } from "../../pipeline/datasets/trades.ts";
import { Fatal, Fenced } from "../../pipeline/errors.ts";
import {
  decodeEntry,
  describeDataset,
  type EntryDraft,
  encodeEntry,
  type Lineage,
  lineageId,
  type ManifestEntry,
} from "./entry.ts";
import { readHistory } from "./history.ts";
import { LakeFolder, LIVE, positionOf, testBlock, watchedStore } from "./lake-fixture.ts";
import { checkpointKey, entryKey, Manifest, type StoredEntry, sortKeys } from "./manifest.ts";
import { LakeReader } from "./reader.ts";
import { sha256Of } from "./store.ts";

let lake: LakeFolder;
beforeEach(async () => {
  lake = await LakeFolder.make();
});
afterEach(() => lake.dispose());

function draftOf(slot: number, lineage: Lineage = LIVE): EntryDraft {
  const block = testBlock(slot);
  const { hash, time } = block;
  return {
    lineage,
    to: positionOf(block),
    first: { slot, hash, time },
    last: { slot, hash, time },
    blocks: 1,
    recent: [{ slot, hash }],
    finality: "final-slot",
    package: "test",
    datasets: [describeDataset(TRADES)],
    files: [],
    replaces: [],
  };
}

const BACKFILL: Lineage = { ...LIVE, kind: "backfill", start: 0, stop: 1_000 };

/** Appends `count` entries; every third by the backfill where `mixed`. */
async function append(manifest: Manifest, count: number, mixed = false): Promise<StoredEntry[]> {
  const stored: StoredEntry[] = [];
  const own = new Map<string, StoredEntry>();
  for (let i = 0; i < count; i++) {
    const lineage = mixed && i % 3 === 2 ? BACKFILL : LIVE;
    const id = lineageId(lineage);
    const next = await manifest.append(draftOf(10 + i, lineage), stored.at(-1) ?? null, own.get(id) ?? null);
    own.set(id, next);
    stored.push(next);
  }
  return stored;
}

async function rewrite(key: string, change: (text: string) => string): Promise<void> {
  const path = (await lake.store.localPath(key))!;
  await Bun.write(path, change(await Bun.file(path).text()));
}

describe("entries", () => {
  test("count from 1 and name the checksum of the one before", async () => {
    const manifest = new Manifest(lake.store);
    const stored = await append(manifest, 3);
    expect(stored.map((s) => s.entry.number)).toEqual([1, 2, 3]);
    expect(stored.map((s) => s.entry.previous)).toEqual([null, stored[0]!.sha256, stored[1]!.sha256]);
    expect(await Array.fromAsync(manifest.after(null))).toEqual(stored);
    expect(await Array.fromAsync(manifest.after(stored[1]!))).toEqual([stored[2]!]);
    expect(await lake.store.list("manifest/")).toEqual([1, 2, 3].map(entryKey));
  });

  test("are one line of JSON whose bytes stay what they are", async () => {
    const { entry, sha256 } = (await append(new Manifest(lake.store), 1))[0]!;
    const text = new TextDecoder().decode(encodeEntry(entry));
    expect(text.split("\n")).toHaveLength(2);
    expect(text).toStartWith(
      '{"format":"sluice-lake","version":1,"number":1,"previous":null,"lineage":{"kind":"live","source":"main",' +
        '"dataset":"all","start":null,"stop":null},"lineagePrevious":null,"from":null,"to":{"slot":10,"hash":"10a",' +
        '"cursor":"cursor-10a","moduleHash":"ab"},"first":{"slot":10,"hash":"10a","time":1700006410}',
    );
    expect(sha256).toBe("560227968ca3ce78ac9b367f32bb145fb35040cb709009fe09259198d6c976ad");
    expect(decodeEntry(encodeEntry(entry), "it")).toEqual(entry);
  });

  test("of older writers, which noted a sequence of their input, are read as they were written", async () => {
    const { entry } = (await append(new Manifest(lake.store), 1))[0]!;
    const older = encodeEntry({ ...entry, inputSeq: 0 });
    expect(sha256Of(older)).toBe("b69bcaea85421515caa314b27407f7b27559c961528e18ecfd30bef69cff44aa");
    expect(decodeEntry(older, "it")).toEqual({ ...entry, inputSeq: 0 });
  });
});

describe("the head", () => {
  test("is found in few look-ups without listing, for any number of entries", async () => {
    const writer = new Manifest(lake.store, 5);
    const stored = await append(writer, 34, true);
    let lookups = 0;
    const store = { ...watchedStore(lake.store, () => undefined) };
    store.head = (key) => {
      lookups++;
      return lake.store.head(key);
    };
    store.list = () => Promise.reject(new Error("listed"));
    expect(await new Manifest(store, 5).head()).toEqual(stored.at(-1)!);
    expect(lookups).toBeLessThan(16);
  });

  test("is found whichever checkpoints a crash has left out", async () => {
    const stored = await append(new Manifest(lake.store, 4), 18);
    await fc.assert(
      fc.asyncProperty(fc.subarray([4, 8, 12, 16]), async (lost) => {
        const store = watchedStore(lake.store, () => undefined);
        store.head = async (key) => (lost.some((n) => key === checkpointKey(n)) ? null : lake.store.head(key));
        store.get = async (key) => (lost.some((n) => key === checkpointKey(n)) ? null : lake.store.get(key));
        expect(await new Manifest(store, 4).head()).toEqual(stored.at(-1)!);
      }),
    );
  });

  test("of an empty lake is null", async () => {
    expect(await new Manifest(lake.store).head()).toBeNull();
    expect(await new Manifest(lake.store).headOfAll()).toBeNull();
  });

  test("behind a hole is never written to", async () => {
    const manifest = new Manifest(lake.store);
    await append(manifest, 5);
    await lake.store.delete(entryKey(3));
    const error = await manifest.headOfAll().catch((e: unknown) => e);
    expect(error).toMatchObject({ code: "LAKE_ENTRY_MISSING", where: entryKey(3) });
  });

  test("behind a hole is not read up to, however far the hole reaches", async () => {
    const manifest = new Manifest(lake.store, 10);
    const stored = await append(manifest, 44);
    for (const [first, last] of [
      [41, 43],
      [3, 40],
    ] as const) {
      for (let number = first; number <= last; number++) await lake.store.delete(entryKey(number));
      const missing = { code: "LAKE_ENTRY_MISSING", where: entryKey(first) };
      await expect(manifest.requireWhole()).rejects.toMatchObject(missing);
      const reader = new LakeReader(lake.store);
      // Also when asked again, with what came before the hole in mind.
      for (let i = 0; i < 2; i++) await expect(reader.read()).rejects.toMatchObject(missing);
      await expect(readHistory(lake.store, "main")).rejects.toMatchObject(missing);
    }
    await lake.store.delete(entryKey(44));
    // A checkpoint says that there was more.
    await expect(new LakeReader(lake.store).read()).rejects.toMatchObject({ where: entryKey(3) });
    expect(stored).toHaveLength(44);
  });

  test("is read up to while others append", async () => {
    const manifest = new Manifest(lake.store);
    await append(manifest, 3);
    const store = watchedStore(lake.store, () => undefined);
    // What comes between two looks at the store: the later one sees more.
    const behind = new Set([entryKey(2), entryKey(3)]);
    store.get = async (key) => (behind.delete(key) && key === entryKey(2) ? null : lake.store.get(key));
    expect(await Array.fromAsync(new Manifest(store).after(null))).toHaveLength(1);
    store.list = async (prefix) => (await lake.store.list(prefix)).filter((key) => key !== entryKey(2));
    expect((await new LakeReader(store).read()).head?.number).toBe(3);
  });

  test("is found by a writer even when the listing is old", async () => {
    const stored = await append(new Manifest(lake.store), 4);
    const store = watchedStore(lake.store, () => undefined);
    store.list = async (prefix) => (await lake.store.list(prefix)).slice(0, 2);
    expect(await new Manifest(store).headOfAll()).toEqual(stored[3]!);
  });
});

describe("lineages", () => {
  test("each is found from the head, through checkpoints and without", async () => {
    for (const every of [4, 100]) {
      const own = await LakeFolder.make();
      const manifest = new Manifest(own.store, every);
      const stored = await append(manifest, 11, true);
      await manifest.append(draftOf(900, { ...LIVE, source: "other" }), stored.at(-1)!, null);
      const head = await manifest.head();
      expect((await manifest.lastOf(lineageId(LIVE), head))!.entry.number).toBe(11);
      expect((await manifest.lastOf(lineageId(BACKFILL), head))!.entry.number).toBe(9);
      expect((await manifest.lastOf("live/other/all/-", head))!.entry.number).toBe(12);
      expect(await manifest.lastOf("live/none/all/-", head)).toBeNull();
      await own.dispose();
    }
  });

  test("a writer renumbers when others have moved the head", async () => {
    const manifest = new Manifest(lake.store);
    const first = await manifest.append(draftOf(10), null, null);
    const other = await manifest.append(draftOf(5, BACKFILL), first, null);
    const late = await new Manifest(lake.store).append(draftOf(11), first, first);
    expect(late.entry).toMatchObject({ number: 3, previous: other.sha256, lineagePrevious: 1 });
    expect(late.entry.from).toEqual(first.entry.to);
  });

  test("a writer whose lineage was moved is fenced and writes nothing", async () => {
    const manifest = new Manifest(lake.store);
    const first = await manifest.append(draftOf(10), null, null);
    await manifest.append(draftOf(5, BACKFILL), first, null);
    await manifest.append(draftOf(11), first, first);
    const zombie = new Manifest(lake.store).append({ ...draftOf(11), blocks: 7 }, first, first);
    await expect(zombie).rejects.toBeInstanceOf(Fenced);
    expect(await lake.store.list("manifest/")).toHaveLength(3);
  });

  test("an append whose outcome was unknown succeeds when it is done again", async () => {
    const manifest = new Manifest(lake.store);
    const first = await manifest.append(draftOf(10), null, null);
    expect(await new Manifest(lake.store).append(draftOf(10), null, null)).toEqual(first);
  });

  test("many writers at once: one history, each lineage in order", async () => {
    const lineages = Array.from({ length: 5 }, (_, i): Lineage => ({ ...LIVE, source: `source${i}` }));
    await Promise.all(
      lineages.map(async (lineage) => {
        const manifest = new Manifest(lake.store, 4);
        let own: StoredEntry | null = null;
        for (let i = 0; i < 6; i++) own = await manifest.append(draftOf(10 + i, lineage), own, own);
      }),
    );
    const entries = await Array.fromAsync(new Manifest(lake.store, 4).after(null));
    expect(entries.map((e) => e.entry.number)).toEqual(Array.from({ length: 30 }, (_, i) => i + 1));
    for (const lineage of lineages) {
      const own = entries.filter((e) => lineageId(e.entry.lineage) === lineageId(lineage));
      expect(own.map((e) => e.entry.to.slot)).toEqual([10, 11, 12, 13, 14, 15]);
      expect(own.map((e) => e.entry.lineagePrevious)).toEqual([null, ...own.slice(0, -1).map((e) => e.entry.number)]);
    }
  });
});

describe("checkpoints", () => {
  test("say what the entries up to them say", async () => {
    const manifest = new Manifest(lake.store, 4);
    const stored = await append(manifest, 9, true);
    expect(sortKeys(await lake.store.list("manifest/")).checkpoints).toEqual([4, 8]);
    expect(await manifest.checkpoint(stored[7]!)).toMatchObject({
      number: 8,
      sha256: stored[7]!.sha256,
      lineages: { [lineageId(LIVE)]: 8, [lineageId(BACKFILL)]: 6 },
    });
  });

  test("left out by a crash are written by the next writer", async () => {
    const crashing = watchedStore(lake.store, (_, key) => {
      if (key.includes("checkpoint")) throw new Error("crash");
    });
    const writer = new Manifest(crashing, 4);
    const three = await append(writer, 3);
    await expect(writer.append(draftOf(13), three[2]!, three[2]!)).rejects.toThrow("crash");
    const next = new Manifest(lake.store, 4);
    const head = (await next.headOfAll())!;
    expect(head.entry.number).toBe(4);
    await next.writeCheckpoint(head);
    expect(sortKeys(await lake.store.list("manifest/")).checkpoints).toEqual([4]);
  });

  test("that contradict their entry are not followed", async () => {
    const manifest = new Manifest(lake.store, 2);
    const stored = await append(manifest, 3, true);
    await rewrite(checkpointKey(2), (text) => text.replace(stored[1]!.sha256, stored[0]!.sha256));
    await expect(manifest.lastOf("live/none/all/-", stored[2]!)).rejects.toBeInstanceOf(Fatal);
  });
});

describe("reading strictly", () => {
  test("a chain that is broken is not read beyond the break", async () => {
    const manifest = new Manifest(lake.store);
    await append(manifest, 4);
    await rewrite(entryKey(2), (text) => text.replace('"package":"test"', '"package":"tent"'));
    const read: number[] = [];
    const reading = (async () => {
      for await (const { entry } of manifest.after(null)) read.push(entry.number);
    })();
    await expect(reading).rejects.toMatchObject({ code: "LAKE_CHAIN", where: entryKey(3) });
    expect(read).toEqual([1, 2]);
  });

  test("an entry under another number is refused", async () => {
    const manifest = new Manifest(lake.store);
    await append(manifest, 2);
    await rewrite(entryKey(2), (text) => text.replace('"number":2', '"number":3'));
    await expect(manifest.read(2)).rejects.toMatchObject({ code: "LAKE_ENTRY", where: entryKey(2) });
  });

  const valid = (): ManifestEntry => ({
    format: "sluice-lake",
    version: 1,
    number: 2,
    previous: "ab".repeat(32),
    lineagePrevious: 1,
    from: positionOf(testBlock(9)),
    ...draftOf(10),
    files: [
      {
        key: "dataset=trades/date=2023-11-15/10-10-abcdef01.parquet",
        dataset: "trades",
        date: "2023-11-15",
        rows: 1,
        bytes: 100,
        sha256: "ab".repeat(32),
        slot: { min: 10, max: 10 },
        blockTime: { min: 5, max: 5 },
        mint: { min: "a", max: "b" },
      },
    ],
  });
  const file = () => valid().files[0]!;

  test("a valid entry is read", () => {
    expect(decodeEntry(encodeEntry(valid()), "it")).toEqual(valid());
  });

  const wrong: [string, object][] = [
    ["another format version", { version: 2 }],
    ["an unknown field", { extra: 1 }],
    ["a number that is none", { number: "2" }],
    ["a checksum that is none", { previous: "xyz" }],
    ["a first entry that has one before it", { number: 1 }],
    ["an entry with none before it", { previous: null }],
    ["a lineage without its own position", { from: null }],
    ["a lineage that follows a later entry", { lineagePrevious: 2 }],
    ["a position that is not its last block", { to: positionOf(testBlock(11)) }],
    ["blocks before its position", { from: positionOf(testBlock(10)) }],
    ["blocks in reverse", { first: { slot: 11, hash: "x", time: 0 } }],
    ["more blocks than slots", { blocks: 2 }],
    ["no blocks", { blocks: 0 }],
    ["recent blocks that end elsewhere", { recent: [{ slot: 10, hash: "other" }] }],
    [
      "recent blocks out of order",
      {
        recent: [
          { slot: 11, hash: "x" },
          { slot: 10, hash: "10a" },
        ],
      },
    ],
    ["an unknown kind of lineage", { lineage: { ...LIVE, kind: "other" } }],
    ["a dataset twice", { datasets: [describeDataset(TRADES), describeDataset(TRADES)] }],
    ["a dataset that is ordered by no column of its", { datasets: [{ ...describeDataset(TRADES), order: ["x"] }] }],
    ["a column of an unknown type", { datasets: [{ ...describeDataset(TRADES), columns: { slot: "u63" } }] }],
    ["a file twice", { files: [file(), file()] }],
    ["a file of an unknown dataset", { files: [{ ...file(), dataset: "others" }] }],
    ["a file that leaves the lake", { files: [{ ...file(), key: "dataset=trades/date=2023-11-15/../../../x" }] }],
    ["a file of another folder", { files: [{ ...file(), key: "dataset=trades/date=2023-11-16/x.parquet" }] }],
    ["a file without rows", { files: [{ ...file(), rows: 0 }] }],
    ["a file beyond its blocks", { files: [{ ...file(), slot: { min: 10, max: 11 } }] }],
    ["a range upside down", { files: [{ ...file(), mint: { min: "b", max: "a" } }] }],
  ];
  test.each(wrong)("%s is refused, and the entry named", (_, change) => {
    const bytes = new TextEncoder().encode(JSON.stringify({ ...valid(), ...change }));
    expect(() => decodeEntry(bytes, "manifest/0000000002.json")).toThrow(
      expect.objectContaining({ code: "LAKE_ENTRY", where: "manifest/0000000002.json" }),
    );
  });

  test("anything else is refused as well", () => {
    for (const text of ["", "null", "[]", "{", '"x"', "\u0000", "{}"]) {
      expect(() => decodeEntry(new TextEncoder().encode(text), "it")).toThrow(Fatal);
    }
    expect(() => decodeEntry(new Uint8Array([0xff, 0xfe]), "it")).toThrow(Fatal);
  });
});
