/**
 * The archive under crashes. Goal: whatever is delivered, forked and made final late, and at whatever step of a commit the
 * process dies, the lake ends up with the rows of the final blocks, each exactly once, in the same files as without a
 * crash. Method: the real runner, stage and sink on a script of signals; the store fails before or after chosen writes,
 * and each failure ends the process: the next one begins with nothing but the folder.
 */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { newUnitMetrics } from "../../pipeline/metrics.ts";
import type { BlockMeta, Position } from "../../pipeline/position.ts";
import type { Incoming, Reader } from "../../pipeline/reader.ts";
import { run } from "../../pipeline/runner.ts";
import type { RowBatch, Signal } from "../../pipeline/wire/batch.ts";
import { rowCodec } from "../../pipeline/wire/message.ts";
import { systemWorld } from "../../pipeline/world.ts";
import { ArchiveStage, type RollLimits } from "../../stages/archive/stage.ts";
import { quoteText } from "./columns.ts";
import { Duck } from "./duckdb.ts";
import { LakeFolder, MIDNIGHT, positionOf, watchedStore } from "./lake-fixture.ts";
import { Manifest } from "./manifest.ts";
import { tradeRow, tradeTable } from "./rows-fixture.ts";
import { LakeSink } from "./sink.ts";

interface TestBlock extends BlockMeta {
  readonly rows: number;
}

/** A script of signals, and the final chain that it amounts to. */
interface Script {
  readonly signals: readonly Signal<RowBatch>[];
  readonly final: readonly TestBlock[];
}

const stepArbitrary = fc.record({
  /** Blocks taken back before the batch, as far as they are not final. */
  undo: fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, fc.integer({ min: 1, max: 4 })),
  blocks: fc.array(
    fc.record({ gap: fc.integer({ min: 1, max: 2 }), seconds: fc.nat({ max: 8_000 }), rows: fc.nat({ max: 3 }) }),
    { minLength: 1, maxLength: 4 },
  ),
  /** Blocks by which finality lags behind the batch. */
  lag: fc.nat({ max: 5 }),
});

const scriptArbitrary = fc.array(stepArbitrary, { minLength: 1, maxLength: 14 }).map((steps): Script => {
  const signals: Signal<RowBatch>[] = [];
  let chain: TestBlock[] = [];
  let finalSlot = 0;
  let fork = 0;
  const head = (): Position | null => (chain.length === 0 ? null : positionOf(chain.at(-1)!));
  for (const step of steps) {
    const undone = Math.min(step.undo, chain.filter((b) => b.slot > finalSlot).length);
    if (undone > 0 && undone < chain.length) {
      const prev = head();
      chain = chain.slice(0, chain.length - undone);
      signals.push({ kind: "undo", prev, next: head()!, finalSlot });
      fork++;
    }
    const prev = head();
    const added: TestBlock[] = [];
    for (const { gap, seconds, rows } of step.blocks) {
      const before = added.at(-1) ?? chain.at(-1);
      const slot = (before?.slot ?? 100) + gap;
      const hash = `${slot}f${fork}`;
      const time = (before?.time ?? MIDNIGHT) + seconds;
      added.push({ slot, hash, cursor: `cursor-${hash}`, time, finalSlot: 0, rows });
    }
    chain = [...chain, ...added];
    finalSlot = Math.max(finalSlot, chain[chain.length - 1 - step.lag]?.slot ?? 0);
    const blocks = added.map((b) => ({ ...b, finalSlot }));
    signals.push({ kind: "data", prev, next: head()!, finalSlot, body: { blocks, tables: tablesOf(blocks) } });
  }
  signals.push({ kind: "end", prev: head(), next: head()!, finalSlot });
  return { signals, final: chain.filter((b) => b.slot <= finalSlot) };
});

/** Trades that name their block: nothing of an abandoned fork can pass for a row of the final chain. */
function rowsOf(block: TestBlock) {
  return Array.from({ length: block.rows }, (_, i) => ({
    ...tradeRow(block.slot * 10 + i, block.slot, block.time, i),
    kind: `${block.hash}/${i}`,
  }));
}

function tablesOf(blocks: readonly TestBlock[]): RowBatch["tables"] {
  const rows = blocks.flatMap(rowsOf);
  return new Map(rows.length === 0 ? [] : [["trades", tradeTable(rows)]]);
}

function readerOf(signals: readonly Signal<RowBatch>[], atEnd: () => void): Reader<RowBatch> {
  return {
    name: "script",
    async *read(): AsyncGenerator<Incoming<RowBatch>> {
      for (const [i, signal] of signals.entries()) {
        const { kind, prev, next, finalSlot } = signal;
        const blocks = kind === "data" ? signal.body.blocks : [];
        const link = { kind, prev, next, finalSlot, blocks, time: blocks.at(-1)?.time ?? 0 };
        yield {
          link,
          seq: i + 1,
          newest: i === signals.length - 1,
          bytes: 0,
          signal: () => signal,
          raw: () => new Uint8Array(0),
        };
      }
      atEnd();
    },
  };
}

/** Thrown where the process is to die. */
class Crash extends Error {}

/** Runs a unit of the archive until the script is done; rejects with `Crash` when it dies before. */
async function runOnce(
  lake: LakeFolder,
  script: Script,
  limits: Partial<RollLimits>,
  onWrite: () => void,
): Promise<void> {
  const done = new AbortController();
  await run(
    {
      unit: "archive",
      reader: readerOf(script.signals, () => done.abort()),
      stage: new ArchiveStage(limits),
      sink: new LakeSink(lake.options({ store: watchedStore(lake.store, onWrite), checkpointEvery: 3 })),
      codec: rowCodec(new Map()),
      world: systemWorld,
      metrics: newUnitMetrics(),
      log: () => undefined,
      quarantine: () => Promise.reject(new Error("nothing here is poison")),
    },
    done.signal,
  );
}

/** Runs the archive again and again; `crashes` says after how many writes each of the processes dies. */
async function runWithCrashes(
  lake: LakeFolder,
  script: Script,
  limits: Partial<RollLimits>,
  crashes: readonly number[],
): Promise<number> {
  let died = 0;
  for (const after of crashes) {
    let writes = 0;
    try {
      await runOnce(lake, script, limits, () => {
        if (++writes > after) throw new Crash();
      });
      return died;
    } catch (error) {
      if (!(error instanceof Crash)) throw error;
      died++;
    }
  }
  await runOnce(lake, script, limits, () => undefined);
  return died;
}

interface Found {
  readonly kinds: string[];
  readonly files: string[];
  readonly position: Position | null;
  readonly chained: boolean;
}

async function readLake(lake: LakeFolder): Promise<Found> {
  const entries = await Array.fromAsync(new Manifest(lake.store).after(null));
  const files = entries.flatMap(({ entry }) => entry.files.map((f) => f.key));
  const duck = await Duck.open();
  const kinds: string[] = [];
  for (const key of files) {
    const path = (await lake.store.localPath(key))!;
    const rows = await duck.rows(`SELECT kind FROM read_parquet(${quoteText(path)})`);
    kinds.push(...rows.map(([kind]) => String(kind)));
  }
  duck.close();
  const chained = entries.every(({ entry }, i) => entry.from?.hash === entries[i - 1]?.entry.to.hash);
  return { kinds: kinds.sort(), files, position: entries.at(-1)?.entry.to ?? null, chained };
}

test("the final rows, exactly once, in the same files, wherever it crashes", async () => {
  let deaths = 0;
  const limitsArbitrary = fc.record({ seconds: fc.constantFrom(3_600, 86_400), rows: fc.integer({ min: 2, max: 12 }) });
  const crashesArbitrary = fc.array(fc.nat({ max: 12 }), { maxLength: 6 });
  await fc.assert(
    fc.asyncProperty(scriptArbitrary, limitsArbitrary, crashesArbitrary, async (script, limits, crashes) => {
      const calm = await LakeFolder.make();
      const stormy = await LakeFolder.make();
      try {
        await runOnce(calm, script, limits, () => undefined);
        deaths += await runWithCrashes(stormy, script, limits, crashes);
        const expected = script.final.flatMap(rowsOf).map((row) => row.kind);
        const found = await readLake(stormy);
        expect(found.kinds).toEqual(expected.sort());
        expect(found).toEqual(await readLake(calm));
        expect(found.chained).toBe(true);
        expect(found.position).toEqual(script.final.length === 0 ? null : positionOf(script.final.at(-1)!));
      } finally {
        await calm.dispose();
        await stormy.dispose();
      }
    }),
    { numRuns: 15 },
  );
  // Without enough deaths this test would have shown nothing.
  expect(deaths).toBeGreaterThan(10);
}, 300_000);

test("every single write of a run can be the last one of its process", async () => {
  const script = fc
    .sample(scriptArbitrary, { numRuns: 5, seed: 11 })
    .reduce((a, b) => (b.final.length > a.final.length ? b : a));
  const limits = { seconds: 86_400, rows: 10 };
  const calm = await LakeFolder.make();
  let writes = 0;
  await runOnce(calm, script, limits, () => {
    writes++;
  });
  const expected = await readLake(calm);
  expect(expected.files.length).toBeGreaterThan(2);
  for (let after = 0; after < writes; after++) {
    const lake = await LakeFolder.make();
    expect(await runWithCrashes(lake, script, limits, [after])).toBe(1);
    expect(await readLake(lake)).toEqual(expected);
    await lake.dispose();
  }
  await calm.dispose();
}, 300_000);
