/**
 * Ingest. Goal: whatever rhythm a source has, its blocks come out as a chain of bounded batches that says only what was
 * delivered; a source that breaks its word on order or finality is noticed. Method: a scripted source that is read to
 * where it falls silent.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { Head } from "../storage/sink.ts";
import { Shutdown, type SluiceError } from "./errors.ts";
import { moduleHashCheck, SourceReader } from "./ingest.ts";
import { blockOf, positionOf } from "./nats-fixture.ts";
import type { Position } from "./position.ts";
import type { BlockSignal, Source } from "./source/source.ts";
import type { BlockBatch, Signal } from "./wire/batch.ts";

const LIMITS = { maxBlocks: 4, maxBytes: 10_000 };

function block(
  slot: number,
  fork = "",
  more: { finalSlot?: number; size?: number; typeName?: string } = {},
): BlockSignal {
  const { cursor } = positionOf(slot, fork);
  const { finalSlot = 0, size = 10, typeName = "a.Type" } = more;
  const payload = new Uint8Array(size).fill(slot);
  return { kind: "block", block: { ...blockOf(slot, fork), cursor, time: slot, finalSlot }, typeName, payload };
}

const undo = (slot: number, fork = "", finalSlot = 0): BlockSignal => ({
  kind: "undo",
  to: positionOf(slot, fork),
  finalSlot,
});

/** Gives what it has at once, then waits until its reader goes away. */
class Scripted implements Source {
  readonly name = "scripted";
  readonly moduleHash = "module";
  from: Position | null | undefined;
  given = 0;
  left = false;
  private readonly script: readonly (BlockSignal | Error)[];

  constructor(...script: (BlockSignal | Error)[]) {
    this.script = script;
  }

  async *blocks(from: Position | null, signal: AbortSignal): AsyncGenerator<BlockSignal> {
    this.from = from;
    for (const item of this.script) {
      if (item instanceof Error) throw item;
      this.given++;
      yield item;
      if (item.kind === "end") return;
    }
    await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
    this.left = true;
  }
}

interface Outcome {
  readonly signals: Signal<BlockBatch>[];
  readonly error: SluiceError | null;
}

/** Reads until nothing more comes, or it fails. */
async function readAll(source: Source, head: Head | null = null, limits = LIMITS): Promise<Outcome> {
  const stop = new AbortController();
  const signals: Signal<BlockBatch>[] = [];
  const reading = (async () => {
    for await (const incoming of new SourceReader(source, limits, () => undefined).read(head, "hint", stop.signal)) {
      signals.push(incoming.signal());
      // Meanwhile the source goes on, so that there is something to batch.
      await Bun.sleep(0);
    }
  })();
  let error: SluiceError | null = null;
  reading.catch((e: SluiceError) => {
    error = e;
  });
  // All of it is promises in memory: when nothing comes for some turns of the event loop, nothing will.
  for (let quiet = 0, seen = 0; quiet < 20; quiet = signals.length === seen ? quiet + 1 : 0) {
    seen = signals.length;
    await Bun.sleep(0);
  }
  stop.abort(new Shutdown());
  await reading.catch(() => undefined);
  return { signals, error };
}

const standing = (slot: number, recent: number[], finalSlot = 0): Head => ({
  position: positionOf(slot),
  ...{ finalSlot, recent: recent.map((s) => blockOf(s)), inputSeq: 0 },
});

/** "1 2 3", "undo 2b", "end 3"; batches that follow each other in one. */
function plain(signals: readonly Signal<BlockBatch>[]): string[] {
  const said: string[] = [];
  let data = false;
  for (const signal of signals) {
    const text =
      signal.kind === "data" ? signal.body.blocks.map((b) => b.hash).join(" ") : `${signal.kind} ${signal.next.hash}`;
    if (data && signal.kind === "data") said.push(`${said.pop()} ${text}`);
    else said.push(text);
    data = signal.kind === "data";
  }
  return said;
}

describe("batches", () => {
  test("take what is there, up to the limits, and follow each other", async () => {
    const { signals } = await readAll(new Scripted(...[1, 2, 3, 4, 5, 6, 7, 8, 9].map((slot) => block(slot))));
    expect(signals.length).toBeGreaterThan(1);
    expect(signals.flatMap((s) => (s.kind === "data" ? s.body.blocks.map((b) => b.slot) : []))).toEqual([
      ...[1, 2, 3, 4, 5, 6, 7, 8, 9],
    ]);
    let prev: Position | null = null;
    for (const signal of signals) {
      expect(signal.prev).toEqual(prev);
      prev = signal.next;
      expect(signal.kind === "data" && signal.body.blocks.length <= LIMITS.maxBlocks).toBe(true);
    }
    expect(prev).toEqual(positionOf(9));
  });

  test("weigh no more than they may, but one block always fits", async () => {
    const sizes = [9_000, 900, 30_000, 100, 5_000, 5_000];
    const { signals } = await readAll(new Scripted(...sizes.map((size, i) => block(i + 1, "", { size }))));
    for (const signal of signals) {
      if (signal.kind !== "data" || signal.body.blocks.length === 1) continue;
      expect(signal.body.payloads.reduce((sum, p) => sum + p.length, 0)).toBeLessThanOrEqual(LIMITS.maxBytes);
    }
    expect(plain(signals).join(" ")).toBe("1 2 3 4 5 6");
  });

  test("hold one type of payload; a block without matches fits anywhere", async () => {
    const none = { size: 0, typeName: "" };
    const script = [block(1, "", none), block(2), block(3, "", none), block(4, "", { typeName: "b.Type" })];
    const { signals } = await readAll(new Scripted(...script), null, { maxBlocks: 100, maxBytes: 10_000 });
    const types = signals.flatMap((s) => (s.kind === "data" ? s.body.blocks.map(() => s.body.typeName) : []));
    expect(types.slice(1)).toEqual(["a.Type", "a.Type", "b.Type"]);
    expect(signals.length).toBe(3);
  });

  test("a reader that is slow holds the source back", async () => {
    const source = new Scripted(...Array.from({ length: 1_000 }, (_, i) => block(i + 1)));
    const stop = new AbortController();
    const reading = new SourceReader(source, LIMITS, () => undefined).read(null, "hint", stop.signal);
    await reading.next();
    await Bun.sleep(5);
    expect(source.given).toBeLessThanOrEqual(3 * LIMITS.maxBlocks + 1);
    stop.abort(new Shutdown());
    await reading.return(undefined);
  });

  test("property: however it is cut, the chain is the source's", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 0, max: 4_000 }), { maxLength: 40 }), async (sizes) => {
        const { signals } = await readAll(new Scripted(...sizes.map((size, i) => block(i + 1, "", { size }))));
        const slots = signals.flatMap((s) => (s.kind === "data" ? s.body.blocks.map((b) => b.slot) : []));
        expect(slots).toEqual(sizes.map((_, i) => i + 1));
        const payloads = signals.flatMap((s) => (s.kind === "data" ? s.body.payloads : []));
        expect(payloads.map((p) => p.length)).toEqual(sizes);
      }),
      { numRuns: 20 },
    );
  });
});

describe("where it goes on", () => {
  test("after the position that is stored", async () => {
    const source = new Scripted(block(6));
    const { signals } = await readAll(source, standing(5, [4, 5]));
    expect(source.from).toEqual(positionOf(5));
    expect(signals[0]!.prev).toEqual(positionOf(5));
  });

  test("from the beginning, where nothing is stored or the cursor is empty", async () => {
    const source = new Scripted(block(1));
    await readAll(source);
    expect(source.from).toBeNull();
    const again = new Scripted(block(5), block(6));
    const head = { ...standing(5, [5]), position: { ...positionOf(5), cursor: "" } };
    expect(plain((await readAll(again, head)).signals)).toEqual(["6"]);
    expect(again.from).toBeNull();
  });

  const stored: [string, "error" | "warn" | "ignore", boolean, number][] = [
    ["the same module", "error", true, 0],
    ["another module, by default", "error", false, 0],
    ["another module, with a warning", "warn", true, 1],
    ["another module, whatever", "ignore", true, 0],
  ];
  test.each(stored)("what is stored came from %s", async (name, policy, goesOn, warnings) => {
    const warned: string[] = [];
    const current = name === "the same module" ? "module" : "another";
    const check = moduleHashCheck(policy, current, (message) => warned.push(message));
    const stop = new AbortController();
    const reading = new SourceReader(new Scripted(block(6)), LIMITS, check).read(standing(5, [5]), "hint", stop.signal);
    const first = await reading.next().then(
      () => null,
      (error: unknown) => error,
    );
    if (goesOn) expect(first).toBeNull();
    else expect(first).toMatchObject({ kind: "fatal", code: "MODULE_HASH" });
    expect(warned.length).toBe(warnings);
    stop.abort(new Shutdown());
    await reading.return(undefined);
  });
});

describe("a source that repeats", () => {
  test("what it sent before, in a batch or long ago, is dropped", async () => {
    const head = standing(5, [3, 4, 5], 3);
    const script = [1, 3, 4, 5, 6, 7, 6, 7, 8].map((slot) => block(slot));
    const { signals, error } = await readAll(new Scripted(...script), head, { maxBlocks: 100, maxBytes: 10_000 });
    expect(error).toBeNull();
    expect(plain(signals).join(" ")).toBe("6 7 8");
  });

  test("it goes on with others before it has led back: those between were abandoned unsaid, so it is asked again", async () => {
    const head = standing(5, [3, 4, 5]);
    const left = await readAll(new Scripted(block(6), block(4), block(7)), head);
    expect(left.error).toMatchObject({ kind: "transient", code: "SOURCE_ORDER" });
    expect(plain(left.signals).join(" ")).toBe("6");
    // Unless it does say so.
    const said = await readAll(new Scripted(block(6), block(4), undo(4), block(7), block(8)), head);
    expect(said.error).toBeNull();
    expect(plain(said.signals)).toEqual(["6", "undo 4", "7 8"]);
  });

  test("a block that it took back may come again", async () => {
    const { signals } = await readAll(new Scripted(block(1), block(2), undo(1), block(2), undo(1), block(2, "b")));
    expect(plain(signals)).toEqual(["1 2", "undo 1", "2", "undo 1", "2b"]);
  });

  test("another block at a slot that it passed, without an undo: asked again", async () => {
    const { error } = await readAll(new Scripted(block(4, "b")), standing(5, [3, 4, 5]));
    expect(error).toMatchObject({ kind: "transient", code: "SOURCE_ORDER" });
  });

  test("another block at a slot that is final: it serves another chain", async () => {
    const { error } = await readAll(new Scripted(block(4, "b")), standing(5, [3, 4, 5], 4));
    expect(error).toMatchObject({ kind: "fatal", code: "FINAL_BLOCK_CHANGED" });
  });
});

describe("an undo", () => {
  test("comes in order with the blocks", async () => {
    const { signals } = await readAll(new Scripted(block(1), block(2), block(3), undo(1), block(2, "b")));
    expect(plain(signals)).toEqual(["1 2 3", "undo 1", "2b"]);
    expect(signals.at(-2)).toMatchObject({ prev: positionOf(3), next: positionOf(1) });
    expect(signals.at(-1)!.prev).toEqual(positionOf(1));
  });

  test("to a block that was never sent ends at the last one that was, with the cursor that goes on", async () => {
    const { signals } = await readAll(new Scripted(block(1), block(5), block(7), undo(6), undo(5, "b"), block(8, "b")));
    expect(plain(signals)).toEqual(["1 5 7", "undo 5", "undo 1", "8b"]);
    const undos = signals.filter((s) => s.kind === "undo");
    expect(undos[0]!.next).toEqual({ ...positionOf(5), cursor: positionOf(6).cursor });
    expect(undos[1]!.next).toEqual({ ...positionOf(1), cursor: positionOf(5, "b").cursor });
  });

  test("of nothing that was sent is not passed on", async () => {
    expect(plain((await readAll(new Scripted(undo(3), block(4)))).signals)).toEqual(["4"]);
    expect(plain((await readAll(new Scripted(block(4), undo(6), block(7)))).signals)).toEqual(["4 7"]);
  });

  test("first, after a cursor on a fork", async () => {
    const { signals } = await readAll(new Scripted(undo(4), block(5, "b")), standing(5, [3, 4, 5]));
    expect(plain(signals)).toEqual(["undo 4", "5b"]);
    expect(signals[0]!.prev).toEqual(positionOf(5));
  });

  test("below what is final stops it", async () => {
    const final = await readAll(new Scripted(block(1), block(2), block(3, "", { finalSlot: 2 }), undo(1)));
    expect(final.error).toMatchObject({ kind: "fatal", code: "UNDO_BELOW_FINAL" });
    const stored = await readAll(new Scripted(undo(3)), standing(5, [3, 4, 5], 4));
    expect(stored.error).toMatchObject({ kind: "fatal", code: "UNDO_BELOW_FINAL" });
  });

  test("to another block at the final slot takes the final one back, and stops it as well", async () => {
    const script = [block(8), block(9), block(10, "", { finalSlot: 10 }), block(11, "", { finalSlot: 10 })];
    const beside = await readAll(new Scripted(...script, undo(10, "b"), block(11, "b", { finalSlot: 10 })));
    expect(beside.error).toMatchObject({ kind: "fatal", code: "UNDO_BELOW_FINAL" });
    expect(plain(beside.signals).join(" ")).not.toContain("undo");
    const stored = await readAll(new Scripted(undo(4, "b")), standing(5, [3, 4, 5], 4));
    expect(stored.error).toMatchObject({ kind: "fatal", code: "UNDO_BELOW_FINAL" });
    // To the final block itself, and to one above it that was never sent, nothing final is taken back.
    const to = (slot: number) => readAll(new Scripted(block(8), block(10, "", { finalSlot: 8 }), undo(slot)));
    for (const slot of [8, 9]) expect((await to(slot)).error).toBeNull();
  });
});

describe("finality", () => {
  test("counts in blocks that were sent, and up to the block that brings the news", async () => {
    const script = [
      block(1),
      block(3, "", { finalSlot: 2 }),
      block(5, "", { finalSlot: 100 }),
      block(6, "", { finalSlot: 4 }),
    ];
    const { signals } = await readAll(new Scripted(...script), null, { maxBlocks: 1, maxBytes: 10_000 });
    expect(signals.map((s) => s.finalSlot)).toEqual([0, 1, 5, 5]);
    expect(signals.map((s) => (s.kind === "data" ? s.body.blocks[0]!.finalSlot : null))).toEqual([0, 1, 5, 5]);
  });

  test("within a batch, it is each block's own", async () => {
    const ahead = { finalSlot: 100 };
    const script = [block(1), block(5, "", ahead), block(6, "", ahead), block(7, "", ahead)];
    const { signals } = await readAll(new Scripted(...script), null, { maxBlocks: 100, maxBytes: 10_000 });
    const finals = signals.flatMap((s) => (s.kind === "data" ? s.body.blocks.map((b) => b.finalSlot) : []));
    expect(finals).toEqual([0, 5, 6, 7]);
    expect(signals.length).toBe(2);
  });

  test("does not count blocks that were taken back", async () => {
    const script = [block(1), block(2), undo(1), block(4, "", { finalSlot: 3 })];
    const { signals } = await readAll(new Scripted(...script));
    expect(signals.at(-1)!.finalSlot).toBe(1);
  });

  test("of blocks that nobody remembers is the source's word", async () => {
    const { signals } = await readAll(new Scripted(block(20, "", { finalSlot: 8 })), standing(10, [10], 5));
    expect(signals[0]!.finalSlot).toBe(8);
  });
});

describe("the end", () => {
  test("is passed on once, then it waits to be stopped instead of asking again", async () => {
    const source = new Scripted(block(1), { kind: "end" });
    const { signals, error } = await readAll(source);
    expect(plain(signals)).toEqual(["1", "end 1"]);
    expect(error).toBeNull();
  });

  test("of a range without blocks can be no message: it is told apart", async () => {
    expect((await readAll(new Scripted({ kind: "end" }))).signals).toEqual([]);
    const told = async (source: Scripted, head: Head | null) => {
      let empty = 0;
      const stop = new AbortController();
      const reader = new SourceReader(
        source,
        LIMITS,
        () => undefined,
        () => void empty++,
      );
      const reading = (async () => {
        for await (const _ of reader.read(head, "hint", stop.signal)) await Bun.sleep(0);
      })();
      await Bun.sleep(5);
      stop.abort(new Shutdown());
      await reading;
      return empty;
    };
    expect(await told(new Scripted({ kind: "end" }), null)).toBe(1);
    expect(await told(new Scripted(undo(3), { kind: "end" }), null)).toBe(1);
    expect(await told(new Scripted(block(1), { kind: "end" }), null)).toBe(0);
    expect(await told(new Scripted({ kind: "end" }), standing(5, [5]))).toBe(0);
    expect(await told(new Scripted(), null)).toBe(0);
  });

  test("of what is stored already names where that stands", async () => {
    expect(plain((await readAll(new Scripted({ kind: "end" }), standing(5, [5]))).signals)).toEqual(["end 5"]);
  });

  test("closing lets a source go that waits for its next block", async () => {
    const source = new Scripted(block(1));
    const reading = new SourceReader(source, LIMITS, () => undefined).read(null, "hint", new AbortController().signal);
    await reading.next();
    await reading.return(undefined);
    expect(source.left).toBe(true);
  });

  test("a source that fails is heard after what it sent", async () => {
    const { signals, error } = await readAll(new Scripted(block(1), block(2), new Error("broken")));
    expect(plain(signals).join(" ")).toBe("1 2");
    expect(error?.message).toBe("broken");
  });
});
