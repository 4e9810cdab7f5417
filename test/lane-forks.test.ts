/**
 * Goal: what a lane holds depends on the chain alone. Method: random chains of random events with forks, undos, restarts,
 * late finality and any batches, against the same chain told straight; the canonical dumps must be equal line by line.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import type { Position } from "../pipeline/position.ts";
import { address, CATALOG, event, type LaneBlock, type LaneEvent, laneBatch } from "../stages/sync/lane-fixture.ts";
import { LaneStage } from "../stages/sync/lane-stage.ts";
import { SPINPET_EFFECTS } from "../stages/sync/spinpet.ts";
import { HotStore } from "../storage/hot/store.ts";
import { lines as dumpOf } from "../storage/hot/store-fixture.ts";

let folder: string;
let files = 0;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "sluice-forks-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const U64_MAX = (1n << 64n) - 1n;
const amount = fc.oneof(fc.bigInt({ min: 0n, max: 1000n }), fc.constantFrom(U64_MAX, 1n << 63n));
const price = fc.oneof(fc.bigInt({ min: 0n, max: 50n }), fc.bigInt({ min: 0n, max: (1n << 128n) - 1n }));
const one = (first: number, count: number) => fc.integer({ min: first, max: first + count - 1 }).map(address);

const laneEvent: fc.Arbitrary<LaneEvent> = fc
  .record({
    dataset: fc.constantFrom(
      ...["buy_sell", "buy_sell", "buy_sell", "token_created", "long_short", "long_short"],
      ...["partial_close", "full_close", "force_liquidate", "milestone_discount", "quarantine"],
    ),
    mint: one(1, 4),
    payer: one(20, 3),
    user: one(30, 3),
    order_pda: one(40, 3),
    order_type: fc.constantFrom(1, 2),
    latest_price: price,
    amount,
  })
  .map(({ dataset, amount, ...fields }) => {
    const spec = CATALOG.get(dataset)!;
    const cells = {
      ...fields,
      sol_amount: amount,
      token_amount: amount,
      margin_sol_amount: amount,
      user_close_profit: amount,
    };
    const own = Object.entries(cells).filter(([name]) => spec.columns.some((c) => c.name === name));
    return event(dataset, { ...Object.fromEntries(own), ...(dataset === "quarantine" ? { mint: null } : {}) });
  });

interface Step {
  /** Blocks of one batch: slots to skip before each, seconds since the one before, events by transaction. */
  readonly blocks: readonly { skip: number; seconds: number; transactions: LaneEvent[][] }[];
  /** How far finality goes on, as a share of what is not final yet. */
  readonly finality: number;
  /** Undo after the batch: how far back, as a share of what may be undone; null = none. */
  readonly undo: number | null;
  readonly restart: boolean;
}

const step: fc.Arbitrary<Step> = fc.record({
  blocks: fc.array(
    fc.record({
      skip: fc.nat({ max: 2 }),
      seconds: fc.oneof(fc.nat({ max: 3 }), fc.nat({ max: 4000 })),
      transactions: fc.array(fc.array(laneEvent, { minLength: 1, maxLength: 3 }), { maxLength: 4 }),
    }),
    { minLength: 1, maxLength: 5 },
  ),
  finality: fc.double({ min: 0, max: 1, noNaN: true }),
  undo: fc.option(fc.double({ min: 0, max: 1, noNaN: true }), { freq: 2 }),
  restart: fc.boolean(),
});

/** A lane being told a chain. */
class Told {
  private store: HotStore;
  private stage: LaneStage;
  private readonly file = join(folder, `${files++}.sqlite`);
  private prev: Position | null = null;

  constructor() {
    this.store = new HotStore({ file: this.file, catalog: CATALOG, limits: { cacheRows: 4 } });
    this.stage = new LaneStage(this.store.state, SPINPET_EFFECTS);
  }

  async open(): Promise<void> {
    const head = await this.store.open();
    expect(head?.position ?? null).toEqual(this.prev);
  }

  async restart(): Promise<void> {
    this.store = new HotStore({ file: this.file, catalog: CATALOG });
    this.stage = new LaneStage(this.store.state, SPINPET_EFFECTS);
    await this.open();
  }

  async commit(blocks: readonly LaneBlock[], finalSlot: number): Promise<void> {
    const batch = laneBatch(blocks, finalSlot);
    const { slot, hash, cursor } = batch.blocks.at(-1)!;
    const step = { prev: this.prev, next: { slot, hash, cursor, moduleHash: "m" }, finalSlot, inputSeq: 1 };
    const out = this.stage.apply(batch);
    this.prev = await this.store.commit({ ...step, blocks: batch.blocks }, out);
  }

  async undo(slot: number, hash: string, finalSlot: number): Promise<void> {
    const next = { slot, hash, cursor: `c-${hash}`, moduleHash: "m" };
    await this.store.rollback({ prev: this.prev, next, finalSlot, blocks: [], inputSeq: 1 });
    this.prev = next;
  }

  async dump(): Promise<string[]> {
    const dump = dumpOf(this.store);
    await this.store.close();
    return dump;
  }
}

/** Tells the steps with all their disturbances; returns the chain that is left, and the lane. */
async function tell(steps: readonly Step[]): Promise<{ chain: LaneBlock[]; lane: Told }> {
  const lane = new Told();
  await lane.open();
  let chain: LaneBlock[] = [];
  let finalSlot = 10;
  let time = 1_700_000_000;
  let slot = finalSlot;
  for (const [n, { blocks, finality, undo, restart }] of steps.entries()) {
    const added = blocks.map(({ skip, seconds, transactions }): LaneBlock => {
      slot += 1 + skip;
      time += seconds;
      return { slot, time, hash: `${slot}-${n}`, transactions };
    });
    finalSlot += Math.floor((slot - finalSlot) * finality);
    await lane.commit(added, finalSlot);
    chain = [...chain, ...added];
    // The last step is never undone, so that both ways end at the same block.
    if (undo !== null && n < steps.length - 1) {
      slot = Math.max(finalSlot, chain[0]!.slot) + Math.floor((slot - Math.max(finalSlot, chain[0]!.slot)) * undo);
      const to = chain.find((b) => b.slot === slot);
      await lane.undo(slot, to?.hash ?? `never-${slot}`, finalSlot);
      chain = chain.filter((b) => b.slot <= slot);
      time = chain.at(-1)?.time ?? time;
    }
    if (restart) await lane.restart();
  }
  return { chain, lane };
}

async function toldStraight(
  chain: readonly LaneBlock[],
  size: number,
  finalSlot: (last: number) => number,
): Promise<string[]> {
  const lane = new Told();
  await lane.open();
  for (let from = 0; from < chain.length; from += size) {
    const batch = chain.slice(from, from + size);
    await lane.commit(batch, finalSlot(batch.at(-1)!.slot));
  }
  return lane.dump();
}

test("forks, restarts, finality and batches leave no trace", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 1, maxLength: 8 }),
      fc.integer({ min: 1, max: 7 }),
      async (steps, size) => {
        const { chain, lane } = await tell(steps);
        const dump = await lane.dump();
        expect(dump).toEqual(await toldStraight(chain, chain.length, (last) => last));
        expect(dump).toEqual(await toldStraight(chain, size, (last) => last - 3));
      },
    ),
    { numRuns: 60 },
  );
}, 300_000);
