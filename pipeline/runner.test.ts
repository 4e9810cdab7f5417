/**
 * The runner, with inputs and outputs in memory. Goal: what its table promises, row by row: repeats, forks, gaps, damage,
 * poison, fencing, gathering, the end. Method: links are scripted, the sink writes down what it was told.
 */
import { describe, expect, test } from "bun:test";
import type { Stage } from "../stages/stage.ts";
import { Bell } from "./bell.ts";
import { Fatal, Fenced, Poison, Rewind, type SluiceError, Transient } from "./errors.ts";
import type { Position } from "./position.ts";
import { at, type Body, data, end, Notes, ref, running, ScriptedReader, standingAt, undo } from "./runner-fixture.ts";

describe("in order", () => {
  test("batches are applied and committed one after the other, each with what it moves", async () => {
    const sink = new Notes();
    const { error, standings, metrics } = await running(
      new ScriptedReader([data(null, "1 2", 1), data("2", "3", 2)]),
      sink,
    );
    expect(error).toBeNull();
    expect(sink.told).toEqual(["- + 1 2", "2 + 3"]);
    expect(sink.steps[1]).toEqual({ prev: at("2"), next: at("3"), finalSlot: 2, blocks: [ref("3")], inputSeq: 2 });
    expect(standings).toEqual([
      { at: undefined, inputSeq: 0 },
      { at: "2", inputSeq: 1 },
      { at: "3", inputSeq: 2 },
    ]);
    expect(metrics).toMatchObject({
      receivedBatches: 2,
      receivedBlocks: 3,
      sentBatches: 2,
      sentBlocks: 3,
      blockTime: 7,
    });
    expect(sink.closed).toBe(true);
  });

  test("it tells what the output remembers of the chain, from its last final block on", async () => {
    const told: string[] = [];
    await running(new ScriptedReader([data(null, "1 2 3", 2), undo("3", "2"), data("2", "3b 4b", 3)]), new Notes(), {
      onStanding: ({ recent }) => told.push(recent.map((b) => b.hash).join(" ")),
    });
    expect(told).toEqual(["", "2 3", "2", "3b 4b"]);
  });

  test("it goes on from where the output stands, and skips what that holds", async () => {
    const sink = new Notes();
    sink.head = standingAt("1 2 3", 1);
    const reader = new ScriptedReader([data(null, "1 2"), data("2", "3"), data("3", "4")]);
    const { metrics } = await running(reader, sink);
    expect(sink.told).toEqual(["3 + 4"]);
    expect(metrics.skippedBatches).toBe(1);
  });

  test("what it skips, nobody needs to keep for it", async () => {
    const sink = new Notes();
    sink.head = standingAt("1 2 3");
    const { standings } = await running(new ScriptedReader([data(null, "1 2"), data("2", "3")]), sink);
    expect(sink.told).toEqual([]);
    expect(standings.at(-1)).toEqual({ at: "3", inputSeq: 2 });
  });

  test("finality beyond where the output stands is not taken for granted", async () => {
    const sink = new Notes();
    sink.head = standingAt("5", 0, 9);
    await running(new ScriptedReader([data("5", "6")]), sink);
    expect(sink.steps[0]!.finalSlot).toBe(5);
  });

  test("of a batch that is held in part, the rest is applied", async () => {
    const sink = new Notes();
    sink.head = standingAt("1 2");
    await running(new ScriptedReader([data(null, "1 2 3 4")]), sink);
    expect(sink.told).toEqual(["2 + 3 4"]);
    expect(sink.steps[0]!.blocks).toEqual([ref("3"), ref("4")]);
  });

  test("an empty output begins where its consumers say, and says so", async () => {
    const sink = new Notes();
    const startWhenEmpty = async () => standingAt("5", 0, 9);
    const { standings } = await running(new ScriptedReader([data("5", "6")]), sink, { startWhenEmpty });
    expect(sink.told).toEqual(["5 + 6"]);
    expect(standings[0]).toEqual({ at: "5", inputSeq: 0 });
  });

  test("being asked to stop is no error; the sink is closed", async () => {
    const sink = new Notes();
    const { error } = await running(new ScriptedReader([]), sink);
    expect(error).toBeNull();
    expect(sink.closed).toBe(true);
  });

  test("an input that ends by itself is opened again later", async () => {
    const { error } = await running(new ScriptedReader([data(null, "1")], "end"), new Notes());
    expect(error).toBeInstanceOf(Transient);
    expect((error as Transient).code).toBe("READ_ENDED");
  });

  test("what a sink or a reader throws comes out as it is", async () => {
    const sink = new Notes();
    sink.failure = new Fenced("MOVED", "another writer");
    expect((await running(new ScriptedReader([data(null, "1")]), sink)).error).toBe(sink.failure);
    const broken = new Transient("GONE", "no connection");
    expect((await running(new ScriptedReader([], broken), new Notes())).error).toBe(broken);
  });
});

describe("forks", () => {
  test("an undo takes the output back", async () => {
    const sink = new Notes();
    await running(new ScriptedReader([data(null, "1 2 3"), undo("3", "1"), data("1", "2b")]), sink);
    expect(sink.told).toEqual(["- + 1 2 3", "3 back to 1", "1 + 2b"]);
    expect(sink.steps.map((s) => s.inputSeq)).toEqual([1, 2, 3]);
  });

  test("a batch from a block that we moved past takes the output back first", async () => {
    const sink = new Notes();
    sink.head = standingAt("1 2 3");
    await running(new ScriptedReader([data("1", "2b 3b")]), sink);
    expect(sink.told).toEqual(["3 back to 1", "1 + 2b 3b"]);
    // Stopped between the two, it must read this batch again.
    expect(sink.steps.map((s) => s.inputSeq)).toEqual([0, 1]);
  });

  test("taken back to the middle of a batch, the output has the cursor of that block, not of an older one", async () => {
    const sink = new Notes();
    sink.head = standingAt("1 2 3 4");
    await running(new ScriptedReader([data("1", "2 3 4b")]), sink);
    expect(sink.told).toEqual(["4 back to 3", "3 + 4b"]);
    expect(sink.steps[0]!.next.cursor).toBe("cursor 3");
  });
});

describe("gaps", () => {
  test("after a wrong hint it looks again from the oldest message", async () => {
    const sink = new Notes();
    sink.head = standingAt("1 2", 2);
    const reader = new ScriptedReader([data("2", "3"), data("3", "4"), data("4", "5")]);
    const { error, metrics } = await running(reader, sink);
    expect(error).toBeNull();
    expect(reader.seeks).toEqual(["hint", "oldest"]);
    expect(sink.told).toEqual(["2 + 3", "3 + 4", "4 + 5"]);
    expect(metrics.gaps).toBe(1);
  });

  test("when that does not help, the producer must replay", async () => {
    const sink = new Notes();
    sink.head = standingAt("1 2", 0);
    const reader = new ScriptedReader([data("3", "4")]);
    const { error } = await running(reader, sink);
    expect(error).toBeInstanceOf(Rewind);
    expect(error).toMatchObject({ code: "GAP", where: "input" });
    expect(reader.seeks).toEqual(["hint", "oldest"]);
    expect(sink.told).toEqual([]);
  });

  test("read from the oldest, the input may begin in the middle of a fork that was abandoned", async () => {
    const abandoned = [
      data("103b", "104b", 100),
      undo("104b", "102b"),
      data("102b", "103c 104c", 100),
      undo("104c", "100"),
    ];
    const sink = new Notes();
    sink.head = standingAt("100", 0, 100);
    const reader = new ScriptedReader([...abandoned, data("100", "101 102", 100)]);
    const { error } = await running(reader, sink);
    expect(error).toBeNull();
    expect(sink.told).toEqual(["100 + 101 102"]);
    // With nothing behind it, there is nothing to wait for.
    const stuck = await running(new ScriptedReader(abandoned.slice(0, 1)), sink);
    expect(stuck.error).toBeInstanceOf(Rewind);
  });

  test("taking the same fork back and forth before the same gap is no progress", async () => {
    const sink = new Notes();
    sink.head = standingAt("1 2", 0);
    const reader = new ScriptedReader([data("1", "2b"), undo("2b", "1"), data("1", "2"), data("3", "4")]);
    const { error } = await running(reader, sink);
    expect(error).toBeInstanceOf(Rewind);
    expect(reader.seeks.length).toBeLessThanOrEqual(3);
  });

  test("a damaged message must be replayed", async () => {
    const sink = new Notes();
    const damaged = { ...data("1", "2"), damaged: true };
    const { error, quarantined } = await running(new ScriptedReader([data(null, "1"), damaged]), sink);
    expect(error).toBeInstanceOf(Rewind);
    expect((error as SluiceError).code).toBe("DAMAGED_MESSAGE");
    expect(sink.told).toEqual(["- + 1"]);
    expect(quarantined).toEqual([]);
  });

  test("so must one whose header cannot be read", async () => {
    const broken = new Poison("WIRE_HEADER", "no header");
    expect((await running(new ScriptedReader([], broken), new Notes())).error).toBeInstanceOf(Rewind);
  });

  test("a damaged message that is held already does no harm", async () => {
    const sink = new Notes();
    sink.head = standingAt("1 2");
    await running(new ScriptedReader([{ ...data("1", "2"), damaged: true }, data("2", "3")]), sink);
    expect(sink.told).toEqual(["2 + 3"]);
  });
});

describe("poison", () => {
  test("is quarantined with its bytes, then its blocks pass without content", async () => {
    const sink = new Notes();
    const script = [data(null, "1"), data("1", "2! 3"), data("3", "4")];
    const { error, quarantined, metrics } = await running(new ScriptedReader(script), sink);
    expect(error).toBeNull();
    expect(sink.told).toEqual(["- + 1", "1 + 2 emptied 3", "3 + 4"]);
    expect(quarantined).toEqual([{ unit: "unit", position: at("3"), reason: "2! is bad", bytes: Buffer.from("2! 3") }]);
    expect(metrics.quarantined).toBe(1);
  });

  test("nothing is committed before it is safe in quarantine", async () => {
    const sink = new Notes();
    const full = new Transient("QUARANTINE", "no room");
    const { error } = await running(new ScriptedReader([data(null, "1!")]), sink, {
      quarantine: () => Promise.reject(full),
    });
    expect(error).toBe(full);
    expect(sink.told).toEqual([]);
  });

  test("so much of it that it must be us stops the unit", async () => {
    const flood = Array.from({ length: 20 }, (_, i) => data(i === 0 ? null : `${i}!`, `${i + 1}!`));
    const sink = new Notes();
    const { error, quarantined } = await running(new ScriptedReader(flood), sink);
    expect(error).toBeInstanceOf(Fatal);
    expect((error as Fatal).code).toBe("POISON_FLOOD");
    expect(quarantined.length).toBe(10);
    expect(sink.told.length).toBe(10);
  });

  test("now and then it stops nothing", async () => {
    const many = Array.from({ length: 4_000 }, (_, i) => {
      const name = (n: number) => (n % 200 === 199 ? `${n}!` : `${n}`);
      return data(i === 0 ? null : name(i), name(i + 1));
    });
    const { error, quarantined } = await running(new ScriptedReader(many), new Notes());
    expect(error).toBeNull();
    expect(quarantined.length).toBe(20);
  });
});

describe("a stage that gathers", () => {
  /** Hands on blocks in twos, or threes; what is left over waits. */
  function groups(size = 2): Stage<Body, Body> {
    let gathered: string[] = [];
    return {
      name: "groups",
      apply(batch) {
        gathered.push(...batch);
        return gathered.length < size ? null : gathered.splice(0, gathered.length - (gathered.length % size));
      },
      undo(to) {
        gathered = gathered.filter((name) => ref(name).slot <= to.slot);
      },
      end: () => (gathered.length === 0 ? null : gathered.splice(0)),
    };
  }

  function notes(): Notes {
    const sink = new Notes();
    sink.stands = (_, out) => at(out.at(-1)!);
    return sink;
  }

  test("commits behind what it has read; the hint covers whole messages only", async () => {
    const sink = notes();
    const script = [data(null, "1"), data("1", "2 3"), data("3", "4 5"), data("5", "6")];
    const { standings } = await running(new ScriptedReader(script), sink, { stage: groups() });
    expect(sink.told).toEqual(["- + 1 2", "2 + 3 4", "4 + 5 6"]);
    expect(standings).toEqual([
      { at: undefined, inputSeq: 0 },
      { at: "2", inputSeq: 1 },
      { at: "4", inputSeq: 2 },
      { at: "6", inputSeq: 4 },
    ]);
    expect(sink.steps.map((s) => s.inputSeq)).toEqual([0, 1, 2]);
    expect(sink.steps[1]!.blocks.map((b) => b.slot)).toEqual([3, 4, 5]);
  });

  test("started again from where it stands, it commits the same", async () => {
    const script = [data(null, "1"), data("1", "2 3"), data("3", "4 5"), data("5", "6")];
    const sink = notes();
    sink.head = standingAt("2", 1);
    await running(new ScriptedReader(script), sink, { stage: groups() });
    expect(sink.told).toEqual(["2 + 3 4", "4 + 5 6"]);
  });

  test("is asked for it when the bell rings, though nothing comes; not otherwise", async () => {
    const script = [data(null, "1 2"), data("2", "3 4")];
    for (const rings of [0, 1, 2]) {
      const sink = notes();
      const stage = groups(10);
      const bell = new Bell();
      const asked = { ...stage, flush: () => stage.end?.() ?? null };
      setTimeout(() => Array.from({ length: rings }, () => bell.ring()), 1);
      const { standings } = await running(new ScriptedReader(script), sink, { stage: asked, bell });
      expect(sink.told).toEqual(rings === 0 ? [] : ["- + 1 2 3 4"]);
      if (rings > 0) expect(standings.at(-1)).toEqual({ at: "4", inputSeq: 2 });
    }
  });

  test("an undo of what only it has seen does not reach the sink", async () => {
    const sink = notes();
    const script = [data(null, "1 2 3 4 5"), undo("5", "4"), data("4", "5b 6")];
    await running(new ScriptedReader(script), sink, { stage: groups(3) });
    expect(sink.told).toEqual(["- + 1 2 3", "3 + 4 5b 6"]);
  });

  test("an undo to where the sink stands leaves nothing that must be read again", async () => {
    const sink = notes();
    const { standings } = await running(new ScriptedReader([data(null, "1 2 3"), undo("3", "2")]), sink, {
      stage: groups(),
    });
    expect(standings.at(-1)).toEqual({ at: "2", inputSeq: 2 });
  });

  test("an undo to another block at a slot that it holds lets go of its own", async () => {
    const sink = notes();
    const dropped: Position[] = [];
    const stage = { ...groups(), undo: (to: Position) => void dropped.push(to) };
    const { metrics } = await running(new ScriptedReader([data(null, "1 2 3"), undo("3", "3b")]), sink, { stage });
    expect(dropped).toEqual([at("3b")]);
    expect(metrics.undos).toBe(1);
  });

  test("hands on the rest at the end", async () => {
    const sink = notes();
    const { ended } = await running(new ScriptedReader([data(null, "1 2 3"), end("3")]), sink, { stage: groups() });
    expect(sink.told).toEqual(["- + 1 2", "2 + 3", "end at 3"]);
    expect(ended).toBe(true);
  });
});

test("the end is passed on and told once for each time it comes", async () => {
  const sink = new Notes();
  const { ended } = await running(new ScriptedReader([data(null, "1"), end("1")]), sink);
  expect(sink.told).toEqual(["- + 1", "end at 1"]);
  expect(ended).toBe(true);
});
