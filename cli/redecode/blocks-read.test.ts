/**
 * Goal: a block counts as read again only if that very block was: not what a stream no longer has, or lost, or has of a fork,
 * of another module, without content, or of another chain. Method: messages of a stream told one by one, against the
 * slots that may then be replaced.
 */
import { expect, test } from "bun:test";
import type { Link } from "../../pipeline/chain.ts";
import type { BlockMeta, Position } from "../../pipeline/position.ts";
import type { BlockBatch } from "../../pipeline/wire/batch.ts";
import type { ManifestEntry } from "../../storage/lake/entry.ts";
import { KnownBlocks } from "../../storage/lake/known-blocks.ts";
import { Canonical, type HeldBlock } from "./blocks.ts";
import { BlocksRead } from "./blocks-read.ts";

const at = (name: string, moduleHash = "module"): Position => ({
  ...{ slot: Number.parseInt(name, 10), hash: name, cursor: "", moduleHash },
});
const meta = (name: string): BlockMeta => ({ ...at(name), time: 0, finalSlot: 0 });

const heldBlock = (name: string): HeldBlock => ({
  ...{ block: meta(name), payload: Uint8Array.of(1), typeName: "test", moduleHash: "module", since: 0 },
});

interface Told {
  readonly damaged?: boolean;
  readonly moduleHash?: string;
  readonly payload?: Uint8Array;
}

/** The stream as messages tell it, and what was read of it: names of blocks such as `12` or, on a fork, `12b`. */
class Stream {
  readonly read: BlocksRead;
  readonly blocks: string[] = [];
  private readonly canonical = new Canonical();

  constructor(entries: readonly ManifestEntry[] = []) {
    this.read = new BlocksRead(new KnownBlocks(entries, "main"));
  }

  data(prev: string | null, names: string, finalSlot: number, told: Told = {}): this {
    const { damaged = false, moduleHash = "module", payload = Uint8Array.of(1) } = told;
    const blocks = names.split(" ").map(meta);
    const next = at(names.split(" ").at(-1)!, moduleHash);
    const body: BlockBatch = { blocks, typeName: "test", payloads: blocks.map(() => payload) };
    const link: Link = { kind: "data", prev: prev === null ? null : at(prev), next, finalSlot, blocks, time: 0 };
    return this.take(link, damaged ? "damaged" : body);
  }

  undo(prev: string, to: string, finalSlot: number): this {
    return this.take({ kind: "undo", prev: at(prev), next: at(to), finalSlot, blocks: [], time: 0 }, null);
  }

  private take(link: Link, body: BlockBatch | "damaged" | null): this {
    const admitted = this.read.admit(this.canonical.add(link, body));
    this.blocks.push(...admitted.map(({ block }) => block.hash));
    return this;
  }
}

/** An entry of the live lineage, as far as blocks are told from it. */
const entry = (first: string, last: string, moduleHash = "module") =>
  ({
    lineage: { kind: "live", source: "main", dataset: "all", start: null, stop: null },
    ...{ from: null, to: at(last, moduleHash), first: meta(first), last: meta(last), blocks: 2 },
    recent: [{ slot: meta(last).slot, hash: last }],
  }) as unknown as ManifestEntry;

test("a stream that was trimmed has read what it still has, from its first message on", () => {
  const { read, blocks } = new Stream([entry("12", "25")]).data("19", "21 22", 22).data("22", "25", 25);
  expect(blocks).toEqual(["21", "22", "25"]);
  expect(read.slots).toEqual([
    { first: 21, last: 22 },
    { first: 25, last: 25 },
  ]);
  expect(read.spans).toEqual([{ first: 20, last: 25 }]);
});

test("a first message without a predecessor says nothing of what lies before it", () => {
  const { read } = new Stream([entry("10", "21")]).data(null, "20 21", 21);
  expect(read.spans).toEqual([{ first: 20, last: 21 }]);
});

test("a hole: what was final before it is read, what was not yet may have been taken back in it", () => {
  const entries = [entry("10", "16")];
  const { read, blocks } = new Stream(entries).data("9", "10 11 12", 11).data("14", "15 16", 16);
  expect(blocks).toEqual(["10", "11", "15", "16"]);
  expect(read.spans).toEqual([
    { first: 10, last: 11 },
    { first: 15, last: 16 },
  ]);
});

test("the blocks of a damaged message are not read; those around it are", () => {
  const stream = new Stream([entry("10", "13")])
    .data("9", "10", 9)
    .data("10", "11 12", 9, { damaged: true })
    .data("12", "13", 13);
  expect(stream.blocks).toEqual(["10", "13"]);
  expect(stream.read.spans).toEqual([
    { first: 10, last: 10 },
    { first: 13, last: 13 },
  ]);
});

test("a fork is never read, neither when it is taken back nor when it is told again after its slot was final", () => {
  const stream = new Stream().data("9", "10 11b", 9).undo("11b", "10", 9).data("10", "11 12", 12);
  expect(stream.blocks).toEqual(["10", "11", "12"]);
  stream.data("9", "10 11b", 9).undo("11b", "10", 9).data("10", "11 12 13", 13);
  expect(stream.blocks).toEqual(["10", "11", "12", "13"]);
});

test("not admitted: blocks of another module than the lake's rows, and those without content", () => {
  const stream = new Stream([entry("10", "12"), entry("20", "22", "other"), entry("30", "31")]);
  stream.data("9", "10 11 12", 12).data("19", "20 21 22", 22);
  expect(stream.blocks).toEqual(["10", "11", "12"]);
  stream.data("29", "30 31", 31, { payload: new Uint8Array() });
  expect(stream.read.slots).toEqual([{ first: 10, last: 12 }]);
  expect(stream.read.spans).toEqual([
    { first: 10, last: 12 },
    { first: 30, last: 31 },
  ]);
});

test("blocks of another chain than the lake's are refused", () => {
  const stream = new Stream([entry("10", "12")]);
  expect(() => stream.data("9", "10 11 12b", 12)).toThrow(expect.objectContaining({ code: "FINAL_BLOCK_CHANGED" }));
});

test("blocks between two holes, none of which the manifest names, may be of any chain: they are not read", () => {
  const stream = new Stream([entry("10", "19")]).data("9", "10 11", 11).data("13", "14 15", 15).data("17", "18 19", 19);
  expect(stream.read.slots).toEqual([
    { first: 10, last: 11 },
    { first: 18, last: 19 },
  ]);
  expect(stream.read.spans.some(({ first, last }) => first <= 15 && last >= 14)).toBe(false);
  expect(stream.read.seen).toContainEqual({ first: 14, last: 15 });
});

test("the lake's own blocks need no proof, and are none for those of the stream before them", () => {
  const stream = new Stream([entry("10", "29")]).data("13", "14 15", 15);
  const held = (name: string) => ({ ...heldBlock(name), since: meta(name).slot });
  stream.read.admit([held("16"), held("17")], true);
  expect(stream.read.slots).toEqual([{ first: 16, last: 17 }]);
});

test("the last blocks of an entry are all known", () => {
  const of = { ...entry("10", "30"), recent: [at("28"), at("29"), at("30")] } as ManifestEntry;
  expect(new Stream([of]).data("27", "28", 28).read.slots).toEqual([{ first: 28, last: 28 }]);
  expect(() => new Stream([of]).data("27", "28b", 28)).toThrow(
    expect.objectContaining({ code: "FINAL_BLOCK_CHANGED" }),
  );
  const known = new KnownBlocks([of], "main");
  expect([10, 11, 29, 31].map((slot) => known.nextKnown(slot))).toEqual([10, 28, 29, undefined]);
});

test("the lake's entries of another source say nothing", () => {
  const of = entry("10", "12", "other");
  const second = { ...of, lineage: { ...of.lineage, source: "second" } };
  const stream = new Stream([second, entry("1", "12")]).data("9", "10x 11 12", 12);
  expect(stream.read.slots).toEqual([{ first: 10, last: 12 }]);
});
