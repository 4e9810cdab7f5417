/**
 * The wire format. Goal: what goes in comes out, whatever the values; damage is noticed, never passed on; and the bytes
 * of a known batch stay what they are (golden), because other programs read them.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type ColumnSpec, type DatasetSpec, WIDTH } from "../datasets/dataset.ts";
import { TRADES } from "../datasets/trades.ts";
import { Poison } from "../errors.ts";
import { decodeArrow, encodeArrow } from "./arrow.ts";
import type { BlockBatch, RowBatch, Signal } from "./batch.ts";
import { type Cell, Column } from "./column.ts";
import { blockCodec, decodeMessage, encodeMessage, parseHeader, rowCodec } from "./message.ts";
import { Table, TableBuilder } from "./table.ts";

const ALL_TYPES = Object.keys(WIDTH) as ColumnSpec["type"][];
const EVERYTHING: DatasetSpec = {
  name: "everything",
  version: 1,
  doc: "One column of each type, nullable and not.",
  columns: ALL_TYPES.flatMap((type) => [
    { name: type, type, doc: "" },
    { name: `${type}_or_null`, type, nullable: true, doc: "" },
  ]),
  key: [],
  order: [],
};

function cellOf(type: ColumnSpec["type"]): fc.Arbitrary<Cell> {
  switch (type) {
    case "bool":
      return fc.boolean();
    case "u8":
      return fc.integer({ min: 0, max: 255 });
    case "u16":
      return fc.integer({ min: 0, max: 65535 });
    case "u32":
      return fc.nat({ max: 4294967295 });
    case "i8":
      return fc.integer({ min: -128, max: 127 });
    case "i16":
      return fc.integer({ min: -32768, max: 32767 });
    case "i32":
      return fc.integer();
    case "u64":
      return fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
    case "i64":
      return fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
    case "u128":
      return fc.bigInt({ min: 0n, max: 2n ** 128n - 1n });
    case "i128":
      return fc.bigInt({ min: -(2n ** 127n), max: 2n ** 127n - 1n });
    case "f32":
      return fc.float({ noNaN: true });
    case "f64":
      return fc.double({ noNaN: true });
    case "bytes32":
      return fc.uint8Array({ minLength: 32, maxLength: 32 });
    case "bytes64":
      return fc.uint8Array({ minLength: 64, maxLength: 64 });
    case "bytes":
      return fc.uint8Array({ maxLength: 300 });
    default:
      // Byte order marks and zeros are texts like any other; halves of pairs are none.
      return fc.oneof(
        fc.string({ unit: "binary", maxLength: 40 }).map((s) => s.toWellFormed()),
        fc.constantFrom("\uFEFF", "\uFEFFname", "a\uFEFF", "\0", "a\0b"),
      );
  }
}

function arrowBytes(table: Table): Uint8Array {
  return Buffer.concat(encodeArrow(table).parts);
}

const rowOf = fc.tuple(
  ...EVERYTHING.columns.map((c) => (c.nullable === true ? fc.option(cellOf(c.type), { nil: null }) : cellOf(c.type))),
);

const position = { slot: 12, hash: "hashTwelve", cursor: "c12", moduleHash: "ab" };
const blocks = [
  { slot: 11, hash: "hashEleven", cursor: "c11", time: 1_700_000_000, finalSlot: 3 },
  { slot: 12, hash: "hashTwelve", cursor: "c12", time: 1_700_000_001, finalSlot: 4 },
];
const blockSignal: Signal<BlockBatch> = {
  kind: "data",
  prev: { slot: 9, hash: "hashNine", cursor: "c9", moduleHash: "ab" },
  next: position,
  finalSlot: 4,
  body: { blocks, typeName: "a.B", payloads: [new Uint8Array([1, 2, 3]), new Uint8Array(0)] },
};

describe("tables", () => {
  test("every type survives Arrow, with nulls, in every row count", () => {
    fc.assert(
      fc.property(fc.array(rowOf, { maxLength: 40 }), (rows) => {
        const builder = new TableBuilder(EVERYTHING, 1);
        for (const row of rows) for (const [i, cell] of row.entries()) builder.columns[i]!.cell(cell);
        const table = decodeArrow(arrowBytes(builder.finish()), EVERYTHING);
        expect(table.length).toBe(rows.length);
        for (const [r, row] of rows.entries()) {
          for (const [c, cell] of row.entries()) expect(table.columns[c]!.cell(r)).toEqual(cell);
        }
      }),
      { numRuns: 60 },
    );
  });

  test("safe integers go through u64 and i64 as numbers", () => {
    const spec: DatasetSpec = {
      ...EVERYTHING,
      columns: [
        { name: "a", type: "u64", doc: "" },
        { name: "b", type: "i64", doc: "" },
      ],
    };
    fc.assert(
      fc.property(fc.maxSafeNat(), fc.maxSafeInteger(), (a, b) => {
        const builder = new TableBuilder(spec);
        builder.columns[0]!.number(a);
        builder.columns[1]!.number(b);
        const table = builder.finish();
        expect([table.columns[0]!.bigint(0), table.columns[1]!.bigint(0)]).toEqual([BigInt(a), BigInt(b)]);
        expect([table.columns[0]!.number(0), table.columns[1]!.number(0)]).toEqual([a, b]);
      }),
    );
  });

  test("a reader that knows more nullable columns still reads older sections", () => {
    const older: DatasetSpec = { ...TRADES, columns: TRADES.columns.filter((c) => c.name !== "is_buy") };
    const builder = new TableBuilder({ ...EVERYTHING, columns: [{ name: "u8", type: "u8", doc: "" }] });
    builder.columns[0]!.number(7);
    const wider: DatasetSpec = {
      ...EVERYTHING,
      columns: [...builder.spec.columns, { name: "new", type: "utf8", nullable: true, doc: "" }],
    };
    expect(decodeArrow(arrowBytes(builder.finish()), wider).row(0)).toEqual({ u8: 7, new: null });
    expect(() => decodeArrow(arrowBytes(new TableBuilder(older).finish()), EVERYTHING)).toThrow(Poison);
  });

  test("a column that was written with another type is refused, not read as something else", () => {
    const of = (type: ColumnSpec["type"], nullable = false): DatasetSpec => ({
      ...EVERYTHING,
      columns: [{ name: "field", type, ...(nullable ? { nullable } : {}), doc: "" }],
    });
    // One layout on the wire: these cannot be told apart.
    const alike = [
      ["u128", "i128"],
      ["bool", "u8"],
      ["utf8", "json"],
    ].map((pair) => pair.sort().join());
    for (const written of ALL_TYPES) {
      const builder = new TableBuilder(of(written));
      builder.columns[0]!.bytes(new Uint8Array(WIDTH[written] ?? 3).fill(0x37));
      const bytes = arrowBytes(builder.finish());
      for (const read of ALL_TYPES) {
        if (read === written || alike.includes([read, written].sort().join())) continue;
        expect(() => decodeArrow(bytes, of(read))).toThrow(Poison);
      }
    }
    const optional = new TableBuilder(of("u64", true));
    optional.columns[0]!.null();
    expect(() => decodeArrow(arrowBytes(optional.finish()), of("u64"))).toThrow(Poison);
  });

  test("take picks rows in the given order", () => {
    const builder = new TableBuilder({ ...EVERYTHING, columns: [{ name: "utf8", type: "utf8", doc: "" }] });
    for (const word of ["a", "bb", "ccc"]) builder.columns[0]!.string(word);
    expect([0, 1].map((i) => builder.finish().take([2, 0]).columns[0]!.string(i))).toEqual(["ccc", "a"]);
  });

  test("columns out of step are a bug that is caught", () => {
    const builder = new TableBuilder(TRADES);
    builder.columns[0]!.number(1);
    expect(() => builder.finish()).toThrow(/expected 1/);
  });
});

describe("messages", () => {
  test("block batches, undo and end survive", () => {
    const codec = blockCodec;
    for (const signal of [
      blockSignal,
      { kind: "undo", prev: position, next: { ...position, slot: 10 }, finalSlot: 4 },
      { kind: "end", prev: position, next: position, finalSlot: 12 },
    ] as Signal<BlockBatch>[]) {
      const message = encodeMessage(signal, codec, 77);
      const wire = { header: parseHeader(JSON.stringify(message.header)), body: message.body };
      expect(decodeMessage(wire, codec)).toEqual(signal);
      expect(wire.header.input).toBe(77);
    }
  });

  test("row batches survive with several datasets, and `above` keeps what is left", () => {
    const codec = rowCodec(new Map([[TRADES.name, TRADES]]));
    const builder = new TableBuilder(TRADES);
    for (const slot of [11n, 12n]) {
      builder.appendCells({
        slot,
        block_time: 5n,
        tx_index: 0,
        event_index: 1,
        signature: new Uint8Array(64).fill(3),
        instruction_path: "0.1",
        ordinal: 0,
        program: new Uint8Array(32),
        mint: new Uint8Array(32).fill(9),
        kind: "buy_sell",
        user: new Uint8Array(32),
        is_buy: true,
        base_amount: 2n ** 64n - 1n,
        quote_amount: 1n,
        price: 2n ** 128n - 1n,
      });
    }
    const body: RowBatch = { blocks, tables: new Map([["trades", builder.finish()]]) };
    const back = decodeMessage(encodeMessage({ ...blockSignal, body }, codec, 1), codec);
    if (back.kind !== "data") throw new Error("expected data");
    expect(back.body.blocks).toEqual(blocks);
    expect(back.body.tables.get("trades")!.row(1)).toEqual(body.tables.get("trades")!.row(1));
    const rest = codec.above(back.body, 11);
    expect(rest.blocks.map((b) => b.slot)).toEqual([12]);
    expect(rest.tables.get("trades")!.length).toBe(1);
    expect(codec.above(back.body, 12).tables.size).toBe(0);
  });

  test("any flipped bit of the body is noticed", () => {
    const message = encodeMessage(blockSignal, blockCodec, 1);
    fc.assert(
      fc.property(fc.nat({ max: message.body.length * 8 - 1 }), (bit) => {
        // A Buffer's own slice would share the bytes, and two flips of one bit are none.
        const body = new Uint8Array(message.body);
        body[bit >> 3]! ^= 1 << (bit & 7);
        expect(() => decodeMessage({ header: message.header, body }, blockCodec)).toThrow(Poison);
      }),
    );
  });

  test("a header that lies, is missing or is of another version is poison", () => {
    const message = encodeMessage(blockSignal, blockCodec, 1);
    expect(() => parseHeader(undefined)).toThrow(Poison);
    expect(() => parseHeader("{")).toThrow(Poison);
    expect(() => parseHeader(JSON.stringify({ ...message.header, v: 99 }))).toThrow(/format version 99/);
    for (const text of ["null", "1", "[]", '"v"']) expect(() => parseHeader(text)).toThrow(Poison);
    for (const part of Object.keys(message.header)) {
      for (const value of [undefined, null, -1, 0.5, "x", {}, [null], [[]], [{}]]) {
        if (part === "type" || (part === "prev" && value === null) || (part === "time" && value === -1)) continue;
        const broken = JSON.stringify({ ...message.header, [part]: value });
        expect(() => parseHeader(broken), broken).toThrow(Poison);
      }
    }
    const huge = { ...message.header, sections: [{ name: "blocks", version: 1, rows: 2, bytes: 2 ** 40 }] };
    expect(() => decodeMessage({ header: huge, body: message.body }, blockCodec)).toThrow(/over the limit/);
    const foreign = { ...message.header, sections: message.header.sections.map((s) => ({ ...s, name: "foreign" })) };
    expect(() => decodeMessage({ header: foreign, body: message.body }, blockCodec)).toThrow(
      /unknown dataset "foreign"/,
    );
  });

  test("a batch that no reader would take is not written", () => {
    const size = 300 * 1024 * 1024;
    // Zeros that nobody has touched cost no memory.
    const payload = new Uint8Array(size);
    const column = new Column({ name: "b", type: "bytes", doc: "" }, 1, {
      data: payload,
      offsets: new Int32Array([0, size]),
      validity: null,
    });
    const table = new Table({ ...EVERYTHING, columns: [column.spec] }, 1, [column]);
    const codec = { ...blockCodec, encode: () => ({ sections: [table, table] }) };
    expect(() => encodeMessage(blockSignal, codec, 1)).toThrow(/over the limit/);
  });

  test("a body that says it is larger than its header says is not unpacked", () => {
    const { header, body } = encodeMessage(blockSignal, blockCodec, 1);
    for (const zeros of [200, 60_000, 1_000_000]) {
      const bomb = Bun.zstdCompressSync(new Uint8Array(zeros));
      // What follows the frame's header is no zstd: unpacking it would end with another error.
      const frame = new Uint8Array(Math.max(18, bomb.length)).fill(0xff);
      frame.set(bomb.subarray(0, 9));
      const damaged = { header: { ...header, crc32: Bun.hash.crc32(frame) }, body: frame };
      expect(() => decodeMessage(damaged, blockCodec), String(zeros)).toThrow(
        expect.objectContaining({ code: "WIRE_SIZE" }),
      );
    }
    expect(decodeMessage({ header, body }, blockCodec)).toEqual(blockSignal);
  });

  test("golden bytes", () => {
    const message = encodeMessage(blockSignal, blockCodec, 1);
    const raw = Bun.zstdDecompressSync(message.body as Uint8Array<ArrayBuffer>);
    expect(new Bun.CryptoHasher("sha256").update(raw).digest("hex")).toMatchSnapshot();
    expect({ ...message.header, crc32: 0 }).toMatchSnapshot();
  });
});
