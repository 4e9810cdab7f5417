/**
 * The archive stage. Goal: what leaves is final, complete, in order, exactly once, and cut where block time and sizes say,
 * however the chain was batched, forked and made final. Method: a plain function cuts the final chain; any delivery of
 * that chain must give the same segments.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { DatasetSpec } from "../../pipeline/datasets/dataset.ts";
import { Fatal, Poison } from "../../pipeline/errors.ts";
import { LIMITS } from "../../pipeline/limits.ts";
import type { BlockMeta } from "../../pipeline/position.ts";
import type { RowBatch } from "../../pipeline/wire/batch.ts";
import type { Roll, Segment } from "../../pipeline/wire/roll.ts";
import { TableBuilder } from "../../pipeline/wire/table.ts";
import { ArchiveStage, type RollLimits } from "./stage.ts";

const spec = (name: string): DatasetSpec => ({
  name,
  version: 1,
  doc: "",
  columns: [
    { name: "slot", type: "u64", doc: "" },
    { name: "value", type: "utf8", nullable: true, doc: "" },
  ],
  key: ["slot"],
  order: ["slot"],
});
const A = spec("alpha");
const B = spec("beta");

/** A block and how many rows it brings to each dataset. */
interface TestBlock {
  readonly slot: number;
  readonly hash: string;
  readonly time: number;
  readonly alpha: number;
  readonly beta: number;
}

const block = (slot: number, rest: Partial<TestBlock> = {}): TestBlock => ({
  slot,
  hash: `h${slot}`,
  time: slot,
  alpha: 1,
  beta: 0,
  ...rest,
});

const valuesOf = (b: TestBlock, name: "alpha" | "beta") => Array.from({ length: b[name] }, (_, i) => `${b.hash}/${i}`);

function batchOf(blocks: readonly TestBlock[], finalSlot: number): RowBatch {
  const metas: BlockMeta[] = blocks.map(({ slot, hash, time }) => ({
    slot,
    hash,
    time,
    cursor: `c-${hash}`,
    finalSlot,
  }));
  const tables = new Map(
    [A, B].flatMap((dataset) => {
      const builder = new TableBuilder(dataset);
      for (const b of blocks) {
        for (const value of valuesOf(b, dataset.name as "alpha" | "beta")) builder.appendCells({ slot: b.slot, value });
      }
      return builder.length === 0 ? [] : [[dataset.name, builder.finish()] as const];
    }),
  );
  return { blocks: metas, tables };
}

/** What a segment says, in plain values. */
const plain = (segment: Segment) => ({
  first: segment.first.hash,
  last: segment.last.hash,
  cursor: segment.last.cursor,
  blocks: segment.blocks,
  rows: Object.fromEntries(
    [...segment.tables].map((table) => [
      table.spec.name,
      Array.from({ length: table.length }, (_, row) => table.column("value").string(row)),
    ]),
  ),
});

const plainRoll = (roll: Roll | null) => (roll?.segments ?? []).map(plain);

function plainSegment(blocks: readonly TestBlock[]): ReturnType<typeof plain> {
  const rows = (["alpha", "beta"] as const).flatMap((name) => {
    const values = blocks.flatMap((b) => valuesOf(b, name));
    return values.length === 0 ? [] : [[name, values] as const];
  });
  const last = blocks.at(-1)!;
  return {
    first: blocks[0]!.hash,
    last: last.hash,
    cursor: `c-${last.hash}`,
    blocks: blocks.length,
    rows: Object.fromEntries(rows),
  };
}

/** The final chain, cut: the rule in its plainest form. */
function cut(chain: readonly TestBlock[], limits: Pick<RollLimits, "seconds" | "rows">): TestBlock[][] {
  const cuts: TestBlock[][] = [];
  let open: TestBlock[] = [];
  for (const b of chain) {
    const window = (x: TestBlock) => Math.floor(x.time / limits.seconds);
    if (open.length > 0 && window(b) > window(open[0]!)) {
      cuts.push(open);
      open = [];
    }
    open.push(b);
    if (open.reduce((sum, x) => sum + x.alpha + x.beta, 0) >= limits.rows) {
      cuts.push(open);
      open = [];
    }
  }
  return open.length === 0 ? cuts : [...cuts, open];
}

const chainOf = fc
  .array(
    fc.record({
      gap: fc.integer({ min: 1, max: 3 }),
      time: fc.nat({ max: 9 }),
      alpha: fc.nat({ max: 4 }),
      beta: fc.nat({ max: 2 }),
    }),
    {
      minLength: 1,
      maxLength: 40,
    },
  )
  .map((steps) => {
    let slot = 100;
    let time = 1_000;
    return steps.map((step) => {
      slot += step.gap;
      time += step.time;
      return block(slot, { time, alpha: step.alpha, beta: step.beta });
    });
  });

/** How the chain is delivered: sizes of batches, how far finality lags, and forks that are taken back. */
const deliveryOf = fc.array(
  fc.record({
    blocks: fc.integer({ min: 1, max: 6 }),
    lag: fc.nat({ max: 8 }),
    fork: fc.nat({ max: 3 }),
  }),
  { minLength: 60, maxLength: 60 },
);

function deliver(
  stage: ArchiveStage,
  chain: readonly TestBlock[],
  delivery: { blocks: number; lag: number; fork: number }[],
) {
  const emitted: ReturnType<typeof plain>[] = [];
  let at = 0;
  let final = 0;
  for (const { blocks, lag, fork } of delivery) {
    const head = chain[at - 1];
    if (fork > 0 && head !== undefined) {
      const abandoned = Array.from({ length: fork }, (_, i) =>
        block(head.slot + 1 + i, { hash: `fork${at}-${i}`, time: head.time, alpha: 2, beta: 1 }),
      );
      emitted.push(...plainRoll(stage.apply(batchOf(abandoned, Math.min(final, head.slot)))));
      stage.undo({ ...head, cursor: `c-${head.hash}`, moduleHash: "" });
    }
    const batch = chain.slice(at, at + blocks);
    if (batch.length === 0) break;
    at += batch.length;
    final = Math.max(final, chain[Math.max(0, at - 1 - lag)]!.slot);
    emitted.push(...plainRoll(stage.apply(batchOf(batch, final))));
  }
  return { emitted, final };
}

describe("any delivery of a chain", () => {
  const limitsOf = fc.record({ seconds: fc.integer({ min: 5, max: 60 }), rows: fc.integer({ min: 1, max: 30 }) });

  test("gives the segments that the final chain is cut into, and nothing that is not final", () => {
    fc.assert(
      fc.property(chainOf, deliveryOf, limitsOf, (chain, delivery, limits) => {
        const stage = new ArchiveStage(limits);
        const { emitted, final } = deliver(stage, chain, delivery);
        const finalChain = chain.filter((b) => b.slot <= final);
        const expected = cut(finalChain, limits).map(plainSegment);
        expect(emitted).toEqual(expected.slice(0, emitted.length));
        expect([...emitted, ...plainRoll(stage.end())]).toEqual(expected);
        const pending = chain.filter((b) => b.slot > final);
        expect(stage.pendingFinal()).toEqual({
          blocks: pending.length,
          rows: pending.reduce((sum, b) => sum + b.alpha + b.beta, 0),
        });
        expect(stage.gathering()).toEqual({ blocks: 0, rows: 0, bytes: 0 });
      }),
      { numRuns: 300 },
    );
  });

  test("a stage that begins after any emitted segment goes on with the same segments", () => {
    fc.assert(
      fc.property(chainOf, deliveryOf, deliveryOf, limitsOf, fc.nat(), (chain, delivery, again, limits, pick) => {
        const { emitted } = deliver(new ArchiveStage(limits), chain, delivery);
        if (emitted.length === 0) return;
        const kept = (pick % emitted.length) + 1;
        const position = chain.findIndex((b) => b.hash === emitted[kept - 1]!.last);
        const resumed = deliver(new ArchiveStage(limits), chain.slice(position + 1), again);
        const expected = cut(chain.slice(position + 1), limits).map(plainSegment);
        expect(resumed.emitted).toEqual(expected.slice(0, resumed.emitted.length));
        expect(cut(chain, limits).map(plainSegment).slice(kept)).toEqual(expected);
      }),
    );
  });
});

describe("a segment ends", () => {
  test("before the block of the next window of block time", () => {
    const stage = new ArchiveStage({ seconds: 3_600 });
    const blocks = [block(1, { time: 3_599 }), block(2, { time: 3_600 }), block(3, { time: 7_199 })];
    expect(plainRoll(stage.apply(batchOf(blocks, 3)))).toEqual([plainSegment(blocks.slice(0, 1))]);
    expect(stage.gathering().blocks).toBe(2);
  });

  test("only once the block of the next window is final, for it could be replaced by one of this window", () => {
    const stage = new ArchiveStage({ seconds: 3_600 });
    expect(stage.apply(batchOf([block(1, { time: 3_599 }), block(2, { time: 3_600 })], 1))).toBeNull();
    stage.undo({ slot: 1, hash: "h1", cursor: "", moduleHash: "" });
    const other = block(2, { hash: "other", time: 3_599 });
    const next = block(3, { time: 3_601 });
    expect(plainRoll(stage.apply(batchOf([other, next], 3)))).toEqual([
      plainSegment([block(1, { time: 3_599 }), other]),
    ]);
  });

  test("with the block that fills it by rows", () => {
    const stage = new ArchiveStage({ rows: 3 });
    const blocks = [block(1), block(2, { beta: 3 }), block(3)];
    expect(plainRoll(stage.apply(batchOf(blocks, 3)))).toEqual([plainSegment(blocks.slice(0, 2))]);
  });

  test("with the block that fills it by bytes", () => {
    // A row of alpha is 8 bytes of slot and the four of "h1/0".
    const stage = new ArchiveStage({ bytes: 24 });
    const blocks = [block(1), block(2), block(3)];
    expect(plainRoll(stage.apply(batchOf(blocks, 3)))).toEqual([plainSegment(blocks.slice(0, 2))]);
    expect(stage.gathering()).toEqual({ blocks: 1, rows: 1, bytes: 12 });
  });

  test("early when asked to, at the last final block, and only once", () => {
    const stage = new ArchiveStage();
    expect(stage.apply(batchOf([block(1), block(2), block(3)], 2))).toBeNull();
    stage.requestEarlyRoll();
    expect(plainRoll(stage.apply(batchOf([block(4)], 3)))).toEqual([plainSegment([block(1), block(2), block(3)])]);
    expect(stage.apply(batchOf([block(5)], 4))).toBeNull();
    expect(plainRoll(stage.end())).toEqual([plainSegment([block(4)])]);
  });

  test("also when no batch comes to carry it out; what is not final stays", () => {
    const stage = new ArchiveStage();
    stage.apply(batchOf([block(1), block(2), block(3)], 2));
    expect(stage.flush()).toBeNull();
    stage.requestEarlyRoll();
    expect(plainRoll(stage.flush())).toEqual([plainSegment([block(1), block(2)])]);
    expect(stage.flush()).toBeNull();
    expect(stage.apply(batchOf([block(4)], 3))).toBeNull();
    expect(plainRoll(stage.end())).toEqual([plainSegment([block(3)])]);
  });
});

test("blocks without rows are covered all the same", () => {
  const stage = new ArchiveStage();
  const blocks = [block(1, { alpha: 0 }), block(2, { alpha: 0 })];
  stage.apply(batchOf(blocks, 2));
  expect(plainRoll(stage.end())).toEqual([plainSegment(blocks)]);
  expect(stage.end()).toBeNull();
});

test("an undo takes back another block at its own slot", () => {
  const stage = new ArchiveStage();
  stage.apply(batchOf([block(1), block(2), block(3)], 0));
  stage.undo({ slot: 2, hash: "another", cursor: "", moduleHash: "" });
  expect(stage.pendingFinal()).toEqual({ blocks: 1, rows: 1 });
});

test("an undo forgets what was gathered too, should it ever go so far back", () => {
  const stage = new ArchiveStage();
  stage.apply(batchOf([block(1), block(2, { alpha: 3 })], 2));
  stage.undo({ slot: 1, hash: "h1", cursor: "", moduleHash: "" });
  expect(stage.gathering()).toEqual({ blocks: 1, rows: 1, bytes: 12 });
});

test("after an undo, nothing above it counts as final until a block says so again", () => {
  const stage = new ArchiveStage({ rows: 1 });
  stage.apply(batchOf([block(1), block(5)], 3));
  stage.undo({ slot: 1, hash: "h1", cursor: "", moduleHash: "" });
  // The past, read again: this fork was abandoned before slot 3 was final.
  expect(stage.apply(batchOf([block(2, { hash: "abandoned" })], 1))).toBeNull();
  expect(stage.pendingFinal().blocks).toBe(1);
});

test("blocks that come twice or out of order are refused", () => {
  const stage = new ArchiveStage();
  stage.apply(batchOf([block(5)], 5));
  expect(() => stage.apply(batchOf([block(5)], 5))).toThrow(Fatal);
  expect(() => stage.apply(batchOf([block(4)], 5))).toThrow(Fatal);
});

test("a row of no block is poison, and leaves the stage as it was", () => {
  const stage = new ArchiveStage();
  const batch = batchOf([block(1), block(2)], 2);
  const broken: RowBatch = { blocks: batch.blocks.slice(0, 1), tables: batch.tables };
  expect(() => stage.apply(broken)).toThrow(Poison);
  expect(stage.apply({ blocks: batch.blocks, tables: new Map() })).toBeNull();
  expect(plainRoll(stage.end())).toEqual([plainSegment([block(1, { alpha: 0 }), block(2, { alpha: 0 })])]);
});

test("a source that never reports finality is stopped before it fills the memory", () => {
  const stage = new ArchiveStage();
  const blocks = Array.from({ length: LIMITS.unfinalBlocksMax + 1 }, (_, i) => block(i + 1, { alpha: 0 }));
  expect(() => stage.apply(batchOf(blocks, 0))).toThrow(Fatal);
});
