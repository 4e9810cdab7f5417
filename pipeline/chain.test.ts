/**
 * The chain's verdicts. Goal: whatever the transport repeats, loses or reorders, a reader ends where its input ends, holds
 * no block of an abandoned fork and never passes over a hole. Method: a table of single verdicts, and random walks over
 * a tree of blocks (forks, forks of forks, undos to blocks that nobody delivered) read once, again, in parts, with holes.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { afterData, afterUndo, type ChainState, EMPTY_CHAIN, judge, type Link, undoesFinal } from "./chain.ts";
import { Fatal } from "./errors.ts";
import { LIMITS } from "./limits.ts";
import { type BlockRef, type Position, sameBlock } from "./position.ts";

/** "105b" is the block with that hash at slot 105. */
const ref = (name: string): BlockRef => ({ slot: Number.parseInt(name, 10), hash: name });
const at = (block: BlockRef): Position => ({ ...block, cursor: `cursor ${block.hash}`, moduleHash: "module" });
const position = (name: string | null) => (name === null ? null : at(ref(name)));

function data(prev: string | null, names: string, finalSlot = 0): Link {
  const blocks = names.split(" ").map(ref);
  return { kind: "data", prev: position(prev), next: at(blocks.at(-1)!), finalSlot, blocks, time: 0 };
}
const undo = (prev: string | null, to: string, finalSlot = 0): Link => ({
  ...{ kind: "undo", prev: position(prev), next: at(ref(to)), finalSlot, blocks: [], time: 0 },
});
const end = (name: string): Link => ({ ...undo(name, name), kind: "end" });

function holding(names: string, finalSlot = 0): ChainState {
  const recent = names.split(" ").map(ref);
  return { position: at(recent.at(-1)!), finalSlot, recent };
}

const OURS = holding("100 101 102 103 104 105 106 107 108", 103);
/** The final block, at slot 104, was left out by the source. */
const UNSEEN_FINAL = holding("102 103 105 106", 104);
const BEHIND = holding("100", 100);

describe("verdicts", () => {
  const apply = (aboveSlot: number, undoTo: string | null = null, cursor?: string) => ({
    action: "apply",
    aboveSlot,
    undoTo: undoTo === null ? null : { ...at(ref(undoTo)), ...(cursor === undefined ? {} : { cursor }) },
  });
  const skip = { action: "skip" };
  const gap = expect.objectContaining({ action: "gap" });
  const back = (to: string) => ({ action: "undo", to: at(ref(to)) });

  const cases: [string, ChainState, Link, unknown][] = [
    ["the first batch of all", EMPTY_CHAIN, data(null, "100 101"), apply(-1)],
    ["a batch, when nothing is held of what came before", EMPTY_CHAIN, data("99", "100"), gap],
    ["the next batch", OURS, data("108", "109 110"), apply(108)],
    ["the next batch, whatever slots it leaves out", OURS, data("108", "115"), apply(108)],
    ["a batch after a hole", OURS, data("109", "110", 103), gap],
    ["a batch after a hole, on a fork that we never saw", OURS, data("107b", "109b", 103), gap],
    ["all of it held", OURS, data("105", "106 107"), skip],
    ["all of it held and final", OURS, data("99", "100 101"), skip],
    ["all of it final and older than what is remembered", OURS, data("90", "91 92"), skip],
    ["half of it held", OURS, data("106", "107 108 109"), apply(108)],
    ["a fork", OURS, data("106", "107b 108b"), apply(106, "106")],
    ["a fork in the middle of a batch", OURS, data("104", "105 106 107b"), apply(106, "106", "cursor 104")],
    ["a fork from the last final block", OURS, data("103", "104b 105b"), apply(103, "103")],
    ["a fork from below the last final block, long abandoned", OURS, data("101", "102b 104b"), skip],
    ["a fork from there that has a block at a slot that is final", UNSEEN_FINAL, data("103", "104b 105b"), skip],
    ["a block beside a final one, long abandoned", OURS, data("101", "102b"), skip],
    ["another start of the chain, long abandoned", OURS, data(null, "100b 101b"), skip],
    ["blocks of a fork that we have left", OURS, data("104b", "105b"), skip],
    ["an undo", OURS, undo("108", "105"), back("105")],
    ["an undo to a block that was never delivered", OURS, undo("108", "106b"), back("106b")],
    ["an undo to the last final block", OURS, undo("108", "103"), back("103")],
    ["an undo to where we stand", OURS, undo("108", "108"), skip],
    ["an undo of blocks that we never saw", OURS, undo("110", "106"), back("106")],
    ["an undo of blocks that we never saw, to one that we never saw", OURS, undo("110", "109", 104), gap],
    ["an undo in the past", OURS, undo("102b", "101"), skip],
    ["an undo below what is remembered", OURS, undo("95b", "90"), skip],
    ["an undo of nothing", EMPTY_CHAIN, undo(null, "99"), skip],
    ["an undo, when nothing is held", EMPTY_CHAIN, undo("101", "99"), gap],
    ["an undo below the last final block: the past again", OURS, undo("108", "101"), skip],
    ["an undo to another block where ours is final", OURS, undo("108", "103b"), skip],
    ["the end", OURS, end("108"), apply(108)],
    ["an end that was passed before", OURS, end("105"), skip],
    ["an end that we have not reached", OURS, end("110"), gap],
  ];
  test.each(cases)("%s", (_, chain, link, verdict) => {
    expect(judge(chain, link)).toEqual(verdict as ReturnType<typeof judge>);
  });

  test("an abandoned fork is passed over as far as it goes, also beyond us", () => {
    const walk = [data("97", "98b 99b", 70), data("99b", "101b", 72), data("101b", "103b"), undo("103b", "97", 72)];
    const rest = [data("97", "98 99", 73), data("99", "100", 73)];
    for (const link of [...walk, ...rest]) expect(judge(BEHIND, link)).toEqual({ action: "skip" });
    expect(judge(BEHIND, data("100", "101"))).toEqual({ action: "apply", aboveSlot: 100, undoTo: null });
  });

  test("a fork on which as much is final as here is not passed over: it is we who miss something", () => {
    expect(judge(BEHIND, data("99b", "101b", 99)).action).toBe("skip");
    expect(judge(BEHIND, data("99b", "101b", 100)).action).toBe("gap");
    // Unless the input began in its middle, and there is more to read.
    expect(judge(BEHIND, data("99b", "101b", 100), true).action).toBe("skip");
    expect(judge(BEHIND, data("99b", "101b", 101), true).action).toBe("gap");
  });

  test("a final block that comes again as another, final too, stops the unit", () => {
    expect(() => judge(OURS, data("101", "102b 103b", 102))).toThrow(Fatal);
    expect(() => judge(OURS, data("101", "102b 103b", 102))).toThrow("block 102 was final as 102");
  });

  test("what an undo may not take back", () => {
    const sparse = holding("100 102 107 108", 104);
    for (const [to, final] of [
      ["108", false],
      ["107", false],
      ["104", false],
      ["103b", false],
    ] as const) {
      expect([to, undoesFinal(sparse, ref(to))]).toEqual([to, final]);
    }
    for (const to of ["102b", "101", "100"]) expect([to, undoesFinal(sparse, ref(to))]).toEqual([to, true]);
  });

  test("what is remembered stays bounded, and keeps all that is not final", () => {
    let chain = EMPTY_CHAIN;
    for (let slot = 1; slot <= 5_000; slot++) chain = afterData(chain, at(ref(`${slot}`)), slot - 40, [ref(`${slot}`)]);
    expect(chain.recent.length).toBeLessThanOrEqual(2 * LIMITS.recentFinalBlocks + 41);
    expect(chain.recent.filter((b) => b.slot > chain.finalSlot).length).toBe(40);
  });
});

/** What a source delivered, in order, and the blocks that are valid after each message. */
interface Walk {
  readonly links: readonly Link[];
  readonly paths: readonly (readonly BlockRef[])[];
  readonly parents: ReadonlyMap<string, string>;
}

interface Move {
  /** Blocks taken back first; never a final one. */
  readonly undo: number;
  /** New blocks; false: the source's filter leaves it out, but an undo may end there, and it may be the final one. */
  readonly blocks: readonly boolean[];
  readonly skippedSlots: number;
  readonly finalityLag: number;
}

const move: fc.Arbitrary<Move> = fc.record({
  undo: fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, fc.integer({ min: 1, max: 12 })),
  blocks: fc.array(fc.oneof({ weight: 3, arbitrary: fc.constant(true) }, fc.constant(false)), { maxLength: 5 }),
  skippedSlots: fc.integer({ min: 0, max: 2 }),
  finalityLag: fc.integer({ min: 3, max: 20 }),
});

function walkOf(moves: readonly Move[]): Walk {
  const path = [{ ...ref("99"), delivered: true }];
  const links: Link[] = [data(null, "99")];
  const parents = new Map([["99", ""]]);
  const held = () => path.filter((b) => b.delivered).map(({ slot, hash }) => ({ slot, hash }));
  const paths = [held()];
  let [count, final] = [0, 0];
  const say = (kind: "data" | "undo", next: BlockRef, blocks: readonly BlockRef[]) => {
    const finalSlot = Math.min(path[final]!.slot, next.slot);
    links.push({ kind, prev: links.at(-1)!.next, next: at(next), finalSlot, blocks, time: 0 });
    paths.push(held());
  };
  for (const { undo: wanted, blocks: wantedBlocks, skippedSlots, finalityLag } of moves) {
    const undone = path.splice(path.length - Math.min(wanted, path.length - 1 - final));
    if (undone.some((b) => b.delivered)) say("undo", held().at(-1)!, []);
    const blocks: BlockRef[] = [];
    for (const [i, delivered] of wantedBlocks.entries()) {
      const slot = path.at(-1)!.slot + 1 + (i === 0 ? skippedSlots : 0);
      const block = { slot, hash: `${slot} ${count++}` };
      if (delivered) {
        parents.set(block.hash, held().at(-1)!.hash);
        blocks.push(block);
      }
      path.push({ ...block, delivered });
    }
    final = Math.max(final, path.length - 1 - finalityLag);
    if (blocks.length > 0) say("data", blocks.at(-1)!, blocks);
  }
  return { links, paths, parents };
}

/** Does what verdicts say, as the runner and a sink do. */
class Follower {
  held: readonly BlockRef[] = [];
  private chain = EMPTY_CHAIN;

  /** Reads links in order; false at a gap. After a restart, less is remembered of what is final. */
  read(links: readonly Link[], restarted: boolean): boolean {
    const { recent, finalSlot } = this.chain;
    const from = restarted
      ? Math.max(
          0,
          recent.findLastIndex((b) => b.slot <= finalSlot),
        )
      : 0;
    this.chain = { ...this.chain, recent: recent.slice(from) };
    return links.every((link) => this.take(link));
  }

  private take(link: Link): boolean {
    const verdict = judge(this.chain, link);
    if (verdict.action === "gap") return false;
    if (verdict.action === "skip") return true;
    const to = verdict.action === "undo" ? verdict.to : verdict.undoTo;
    if (to !== null) {
      const stays = (b: BlockRef) => b.slot < to.slot || sameBlock(b, to);
      const lost = this.held.filter((b) => !stays(b));
      expect(lost.filter((b) => b.slot <= this.chain.finalSlot)).toEqual([]);
      this.held = this.held.filter(stays);
      this.chain = afterUndo(this.chain, to, link.finalSlot);
    }
    if (verdict.action === "apply" && link.kind === "data") {
      const fresh = link.blocks.filter((b) => b.slot > verdict.aboveSlot);
      this.held = [...this.held, ...fresh];
      this.chain = afterData(this.chain, link.next, link.finalSlot, fresh);
    }
    return true;
  }
}

describe("walks", () => {
  const walks = fc.array(move, { minLength: 1, maxLength: 40 }).map(walkOf);
  const nonEmpty = walks.filter((walk) => walk.links.length > 0);
  const part = fc.record({ from: fc.nat(), to: fc.nat(), restarted: fc.boolean() });

  test("read again from the beginning, as often as you like, they end where they end, without a gap", () => {
    fc.assert(
      fc.property(nonEmpty, fc.array(part), ({ links, paths }, parts) => {
        const follower = new Follower();
        for (const { to, restarted } of parts) {
          expect(follower.read(links.slice(0, to % (links.length + 1)), restarted)).toBe(true);
        }
        expect(follower.read(links, false)).toBe(true);
        expect(follower.held).toEqual(paths.at(-1)!);
      }),
      { numRuns: 1_000 },
    );
  });

  test("read in any parts, a gap at worst, they end where they end when read from the beginning", () => {
    fc.assert(
      fc.property(nonEmpty, fc.array(part), ({ links, paths }, parts) => {
        const follower = new Follower();
        for (const { from, to, restarted } of parts) {
          follower.read(links.slice(from % links.length, to % (links.length + 1)), restarted);
        }
        expect(follower.read(links, false)).toBe(true);
        expect(follower.held).toEqual(paths.at(-1)!);
      }),
      { numRuns: 1_000 },
    );
  });

  test("with messages missing, what is held stays one unbroken branch", () => {
    fc.assert(
      fc.property(nonEmpty, fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 40 }), (walk, dice) => {
        const follower = new Follower();
        follower.read(
          walk.links.filter((_, i) => (dice[i % dice.length] ?? 1) > 0),
          false,
        );
        const { held } = follower;
        for (const [i, block] of held.entries()) {
          expect(walk.parents.get(block.hash)).toBe(held[i - 1]?.hash ?? "");
        }
      }),
      { numRuns: 1_000 },
    );
  });
});
