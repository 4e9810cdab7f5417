/**
 * What every sink must do, whatever it stores in: the contract of `sink.ts` as tests. A sink's own test file calls
 * `sinkConformance` with a fixture that makes outputs, and tests there only what is special to it.
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { Fatal, Fenced } from "../pipeline/errors.ts";
import type { BlockMeta, BlockRef, Position } from "../pipeline/position.ts";
import type { Head, Sink, Step } from "./sink.ts";

/** One output, as far as possible a real one, and all that a test needs to look at it from outside. */
export interface SinkFixture<Out> {
  /** Another writer on the output: what another process would make. */
  writer(): Sink<Out>;
  /** What a stage hands over for these blocks. Must leave a trace of each of them. */
  out(blocks: readonly BlockMeta[]): Out;
  /** The blocks whose trace a reader finds, oldest first. */
  content(): Promise<readonly BlockRef[]>;
  /** Ends a writer as a crash does: it is not closed and does not get to tidy up. */
  crash(writer: Sink<Out>): Promise<void>;
  /** Removes the output. */
  dispose(): Promise<void>;
}

export interface SinkTraits {
  /** The sink is only ever given final blocks, so it has nothing to undo. Default false. */
  readonly finalOnly?: boolean;
  /** When a second writer makes the first one lose: at its open, or only at its first commit. Default "open". */
  readonly fences?: "open" | "commit";
}

const MODULE = "0123abcd";

/** A block; forks differ in `fork`. */
function block(slot: number, fork = "a"): BlockMeta {
  return { slot, hash: `${slot}${fork}`, cursor: `cursor-${slot}${fork}`, time: 1_700_000_000 + slot, finalSlot: 0 };
}

function at({ slot, hash, cursor }: BlockMeta): Position {
  return { slot, hash, cursor, moduleHash: MODULE };
}

const refs = (blocks: readonly BlockRef[]) => blocks.map(({ slot, hash }) => ({ slot, hash }));

/** Runs the suite on outputs that `make` creates, a new and empty one for each test. */
export function sinkConformance<Out>(
  name: string,
  make: () => Promise<SinkFixture<Out>>,
  { finalOnly = false, fences = "open" }: SinkTraits = {},
): void {
  let output: SinkFixture<Out>;
  let open: Sink<Out>[] = [];
  beforeEach(async () => {
    output = await make();
  });
  afterEach(async () => {
    for (const sink of open) await sink.close();
    open = [];
    await output.dispose();
  });

  async function writer(): Promise<{ sink: Sink<Out>; head: Head | null }> {
    const sink = output.writer();
    open.push(sink);
    return { sink, head: await sink.open() };
  }

  /** Commits blocks after `prev`; all of them are final where the sink holds only such. */
  async function commit(
    sink: Sink<Out>,
    prev: BlockMeta | null,
    blocks: BlockMeta[],
    finalSlot = 0,
  ): Promise<Position> {
    const last = blocks.at(-1)!;
    const final = finalOnly ? Math.max(finalSlot, last.slot) : finalSlot;
    const metas = blocks.map((b) => ({ ...b, finalSlot: final }));
    const step: Step = {
      prev: prev && at(prev),
      next: at(last),
      finalSlot: final,
      blocks: metas,
      inputSeq: last.slot * 10,
    };
    return await sink.commit(step, output.out(metas));
  }

  async function rollback(sink: Sink<Out>, prev: BlockMeta, to: BlockMeta, finalSlot = 0): Promise<void> {
    await sink.rollback({ prev: at(prev), next: at(to), finalSlot, blocks: [], inputSeq: 999 });
  }

  /** What the next owner finds. */
  async function found(): Promise<{ head: Head | null; content: readonly BlockRef[] }> {
    const { head } = await writer();
    return { head, content: refs(await output.content()) };
  }

  const [b10, b11, b12, b15, b16] = [10, 11, 12, 15, 16].map((slot) => block(slot)) as [
    BlockMeta,
    BlockMeta,
    BlockMeta,
    BlockMeta,
    BlockMeta,
  ];

  describe(`${name} as a sink`, () => {
    test("an empty output stands nowhere", async () => {
      expect((await writer()).head).toBeNull();
      expect((await writer()).head).toBeNull();
    });

    test("must be opened before it takes a commit", async () => {
      await expect(commit(output.writer(), null, [b10])).rejects.toThrow();
      expect(await found()).toEqual({ head: null, content: [] });
    });

    test("says after a commit where it stands, and so does the next open", async () => {
      const { sink } = await writer();
      expect(await commit(sink, null, [b10, b11])).toEqual(at(b11));
      expect(await commit(sink, b11, [b12, b15], 11)).toEqual(at(b15));
      await sink.close();
      const { head, content } = await found();
      expect(head).toMatchObject({ position: at(b15), finalSlot: finalOnly ? 15 : 11 });
      // A hint, which an output of final blocks only need not keep.
      expect(head!.inputSeq).toBe(finalOnly ? 0 : 150);
      expect(refs(head!.recent).slice(-2)).toEqual(refs([b12, b15]));
      expect(content).toEqual(refs([b10, b11, b12, b15]));
    });

    test("remembers all blocks that are not final", async () => {
      if (finalOnly) return;
      const { sink } = await writer();
      await commit(sink, null, [b10, b11, b12]);
      await commit(sink, b12, [b15]);
      expect(refs((await found()).head!.recent)).toEqual(refs([b10, b11, b12, b15]));
    });

    test("the final slot never goes back", async () => {
      const { sink } = await writer();
      await commit(sink, null, [b10, b11], 11);
      await commit(sink, b11, [b12], 10);
      expect((await found()).head!.finalSlot).toBe(finalOnly ? 12 : 11);
    });

    test("what was committed survives a crash", async () => {
      const { sink } = await writer();
      await commit(sink, null, [b10, b11]);
      await output.crash(sink);
      const { sink: next, head } = await writer();
      expect(head!.position).toEqual(at(b11));
      await commit(next, b11, [b12]);
      expect(await found()).toMatchObject({ head: { position: at(b12) }, content: refs([b10, b11, b12]) });
    });

    describe("a commit from a place where the output does not stand is fenced and writes nothing", () => {
      const wrong: [string, BlockMeta | null][] = [
        ["behind", b10],
        ["ahead", b15],
        ["on a fork", block(11, "b")],
        ["at the beginning", null],
      ];
      test.each(wrong)("%s", async (_, prev) => {
        const { sink } = await writer();
        await commit(sink, null, [b10, b11]);
        await expect(commit(sink, prev, [b12])).rejects.toBeInstanceOf(Fenced);
        expect(await found()).toMatchObject({ head: { position: at(b11) }, content: refs([b10, b11]) });
      });
    });

    test("a second writer fences the first", async () => {
      const { sink: first } = await writer();
      await commit(first, null, [b10]);
      const { sink: second, head } = await writer();
      expect(head!.position).toEqual(at(b10));
      if (fences === "commit") await commit(second, b10, [b11]);
      await expect(commit(first, b10, [block(11, "zombie")])).rejects.toBeInstanceOf(Fenced);
      if (fences === "open") await commit(second, b10, [b11]);
      await commit(second, b11, [b12]);
      expect(await found()).toMatchObject({ head: { position: at(b12) }, content: refs([b10, b11, b12]) });
    });

    test("an undo to where it stands changes nothing", async () => {
      const { sink } = await writer();
      await commit(sink, null, [b10, b11]);
      await rollback(sink, b11, b11);
      await commit(sink, b11, [b12]);
      expect(await found()).toMatchObject({ head: { position: at(b12) }, content: refs([b10, b11, b12]) });
    });

    test("final blocks are never undone", async () => {
      const { sink } = await writer();
      await commit(sink, null, [b10, b11, b12], 11);
      const refused = await rollback(sink, b12, b10).catch((error: unknown) => error);
      expect(refused).toBeInstanceOf(Fatal);
      expect(refused).not.toBeInstanceOf(Fenced);
      expect(await found()).toMatchObject({ head: { position: at(b12) }, content: refs([b10, b11, b12]) });
    });

    if (!finalOnly) undoTests();
  });

  function undoTests(): void {
    describe("an undo", () => {
      test("to a block that is held takes back what is above it", async () => {
        const { sink } = await writer();
        await commit(sink, null, [b10, b11]);
        await commit(sink, b11, [b12, b15]);
        await rollback(sink, b15, b11);
        const { head, content } = await found();
        expect(head!.position).toEqual(at(b11));
        expect(refs(head!.recent)).toEqual(refs([b10, b11]));
        expect(content).toEqual(refs([b10, b11]));
      });

      test("may go to a slot of which no block was ever held", async () => {
        const { sink } = await writer();
        await commit(sink, null, [b10, b11, b15, b16]);
        const b13 = block(13);
        await rollback(sink, b16, b13);
        const { head, content } = await found();
        expect(head!.position).toEqual(at(b13));
        expect(refs(head!.recent)).toEqual(refs([b10, b11, b13]));
        expect(content).toEqual(refs([b10, b11]));
      });

      test("takes back another block at its own slot", async () => {
        const { sink } = await writer();
        await commit(sink, null, [b10, b11, b12]);
        const other = block(11, "b");
        await rollback(sink, b12, other);
        const { head, content } = await found();
        expect(head!.position).toEqual(at(other));
        expect(refs(head!.recent)).toEqual(refs([b10, other]));
        expect(content).toEqual(refs([b10]));
      });

      test("may bring the news that blocks beyond those taken back are final", async () => {
        const { sink } = await writer();
        await commit(sink, null, [b10, b11, b12, b15], 10);
        await rollback(sink, b15, b11, 12);
        const [c12, c15] = [block(12, "c"), block(15, "c")];
        await commit(sink, b11, [c12, c15], 12);
        expect(await found()).toMatchObject({ head: { position: at(c15) }, content: refs([b10, b11, c12, c15]) });
      });

      test("leaves nothing final above it: a fork there can be undone in turn", async () => {
        const { sink } = await writer();
        await commit(sink, null, [b10, b11, b15], 12);
        await rollback(sink, b15, b11, 12);
        await commit(sink, b11, [b12]);
        await rollback(sink, b12, b11);
        expect(await found()).toMatchObject({ head: { position: at(b11), finalSlot: 11 }, content: refs([b10, b11]) });
      });

      test("is followed by the other fork, which can be undone in turn", async () => {
        const { sink } = await writer();
        await commit(sink, null, [b10, b11, b12]);
        await rollback(sink, b12, b10);
        const [c11, c12] = [block(11, "c"), block(12, "c")];
        await commit(sink, b10, [c11, c12]);
        await rollback(sink, c12, c11);
        const d12 = block(12, "d");
        await commit(sink, c11, [d12]);
        const { head, content } = await found();
        expect(refs(head!.recent)).toEqual(refs([b10, c11, d12]));
        expect(content).toEqual(refs([b10, c11, d12]));
      });

      test("and the same fork again leaves no trace", async () => {
        const { sink } = await writer();
        await commit(sink, null, [b10, b11]);
        await rollback(sink, b11, b10);
        await commit(sink, b10, [b11]);
        expect(await found()).toMatchObject({ head: { position: at(b11) }, content: refs([b10, b11]) });
      });

      test("after a new open is as good as before", async () => {
        const { sink: first } = await writer();
        await commit(first, null, [b10, b11, b12]);
        await output.crash(first);
        const { sink } = await writer();
        await rollback(sink, b12, b10);
        expect(await found()).toMatchObject({ head: { position: at(b10) }, content: refs([b10]) });
      });

      test("from a place where the output does not stand is fenced and changes nothing", async () => {
        const { sink } = await writer();
        await commit(sink, null, [b10, b11, b12]);
        await expect(rollback(sink, b15, b10)).rejects.toBeInstanceOf(Fenced);
        expect(await found()).toMatchObject({ head: { position: at(b12) }, content: refs([b10, b11, b12]) });
      });
    });
  }
}
