/**
 * Goal: any module's output becomes rows that say exactly what it said: every scalar, enum, list, map, optional field, oneof
 * and kind of bytes, in proto2 and proto3. Method: message types with all of them, random values written by the protobuf library, read back as cells.
 */
import { describe, expect, test } from "bun:test";
import {
  BinaryWriter,
  type FieldInfo,
  type Message,
  type MessageType,
  type PartialMessage,
  proto2,
  proto3,
  ScalarType,
  WireType,
} from "@bufbuild/protobuf";
import bs58 from "bs58";
import fc from "fast-check";
import { SluiceError } from "../../../pipeline/errors.ts";
import type { Cell } from "../../../pipeline/wire/column.ts";
import { DecodeStage } from "../stage.ts";
import { batchOf, type Rows, rowsOf } from "../stage-fixture.ts";
import type { MapDataset, MapSpec } from "./map-spec.ts";

type Loose = MessageType<Message> & { new (data?: object): Message };

function decode(map: MapSpec, ...outputs: Uint8Array[]): { rows: Rows; stage: DecodeStage } {
  const stage = new DecodeStage({ programs: [], maps: [map] });
  return { rows: rowsOf(stage.apply(batchOf(outputs, map.type.typeName))), stage };
}

const SCALARS = Object.entries(ScalarType).filter(
  (entry): entry is [string, ScalarType] => typeof entry[1] === "number",
);
const bytes = fc.uint8Array({ maxLength: 40 }).map((value) => Uint8Array.from(value));
const VALUES: Record<ScalarType, fc.Arbitrary<unknown>> = {
  [ScalarType.DOUBLE]: fc.double(),
  [ScalarType.FLOAT]: fc.float(),
  [ScalarType.INT64]: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  [ScalarType.UINT64]: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  [ScalarType.INT32]: fc.integer(),
  [ScalarType.FIXED64]: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  [ScalarType.FIXED32]: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
  [ScalarType.BOOL]: fc.boolean(),
  [ScalarType.STRING]: fc.string({ unit: "grapheme" }),
  [ScalarType.BYTES]: bytes,
  [ScalarType.UINT32]: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
  [ScalarType.SFIXED32]: fc.integer(),
  [ScalarType.SFIXED64]: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  [ScalarType.SINT32]: fc.integer(),
  [ScalarType.SINT64]: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
};

const Side = {
  kind: "enum" as const,
  T: proto3.makeEnumType("test.Side", [
    { no: 0, name: "BUY" },
    { no: 1, name: "SELL" },
  ]),
};

/** A field for each scalar, and what `more` makes of it. */
const scalars = (from: number, suffix: string, more: object) =>
  SCALARS.map(
    ([name, T], i) =>
      ({ no: from + i, name: `${name.toLowerCase()}${suffix}`, kind: "scalar", T, ...more }) as unknown as FieldInfo,
  );

/** `required`: the plain fields of proto2 are. The library refuses to write those unset, so what writes has none. */
function typesOf(
  runtime: typeof proto2 | typeof proto3,
  name: string,
  required = false,
): { Row: Loose; Output: Loose } {
  const Row = runtime.makeMessageType(
    `test.${name}.Row`,
    () =>
      [
        ...scalars(1, "", runtime === proto2 ? (required ? { req: true } : { opt: true }) : {}),
        ...scalars(31, "_opt", { opt: true }),
        ...scalars(61, "_list", { repeated: true, packed: false }),
        ...scalars(91, "_case", { oneof: "choice" }),
        { no: 120, name: "side", ...Side, ...(runtime === proto2 ? (required ? { req: true } : { opt: true }) : {}) },
        { no: 121, name: "sides", ...Side, repeated: true },
        { no: 122, name: "counts", kind: "map", K: ScalarType.STRING, V: { kind: "scalar", T: ScalarType.UINT64 } },
      ] as unknown as FieldInfo[],
  ) as unknown as Loose;
  const Output = runtime.makeMessageType(`test.${name}.Output`, () => [
    { no: 1, name: "rows", kind: "message", T: Row, repeated: true } as unknown as FieldInfo,
  ]) as unknown as Loose;
  return { Row, Output };
}

/** What JSON text stands for a value of a list. */
function inJson(T: ScalarType, value: unknown): unknown {
  if (typeof value === "bigint") return value.toString();
  if (value instanceof Uint8Array) return bs58.encode(value);
  if (typeof value === "number" && !Number.isFinite(value)) return String(value);
  return T === ScalarType.FLOAT ? Math.fround(value as number) : value;
}

describe.each([["proto3", proto3] as const, ["proto2", proto2] as const])("%s", (name, runtime) => {
  const { Output: Written } = typesOf(runtime, name);
  const { Output } = typesOf(runtime, name, true);

  test.each(SCALARS)("%s round-trips: plain, optional, in a list, in a oneof", (scalar, T) => {
    const field = scalar.toLowerCase();
    const form = T === ScalarType.BYTES ? (v: unknown) => bs58.encode(v as Uint8Array) : (v: unknown) => v;
    const value = VALUES[T];
    // The library that writes leaves a plain -0 out, as it does 0; everywhere else -0 is kept.
    const kept = value.filter((v) => !Object.is(v, -0));
    fc.assert(
      fc.property(
        kept,
        fc.option(value),
        fc.array(value, { maxLength: 5 }),
        fc.option(value),
        (plain, optional, list, chosen) => {
          const row = {
            [field]: plain,
            ...(optional === null ? {} : { [`${field}Opt`]: optional }),
            [`${field}List`]: list,
            choice: chosen === null ? { case: undefined } : { case: `${field}Case`, value: chosen },
          };
          const { rows } = decode(
            { type: Output, datasets: [{ dataset: "out", rows: "rows" }] },
            new Written({ rows: [row] }).toBinary(),
          );
          const got = rows["out"]![0]!;
          expect(got[field]).toEqual(form(plain) as Cell);
          expect(got[`${field}_opt`]).toEqual(optional === null ? null : (form(optional) as Cell));
          expect(JSON.parse(got[`${field}_list`] as string)).toEqual(list.map((item) => inJson(T, item)));
          expect([got["choice"], got[`${field}_case`]] as unknown[]).toEqual(
            chosen === null ? [null, null] : [`${field}_case`, form(chosen)],
          );
        },
      ),
      { numRuns: 40 },
    );
  });

  test("enums are names, unknown ones their number; maps are JSON", () => {
    const row = { side: 1, sides: [0, 7], counts: { a: 2n ** 64n - 1n } };
    const { rows } = decode(
      { type: Output, datasets: [{ dataset: "out", rows: "rows" }] },
      new Written({ rows: [row, { side: 9 }] }).toBinary(),
    );
    expect(rows["out"]![0]).toMatchObject({ side: "SELL", sides: '["BUY",7]', counts: '{"a":"18446744073709551615"}' });
    expect(rows["out"]![1]!["sides"]).toBe("[]");
    if (runtime === proto3) expect(rows["out"]![1]!["side"]).toBe("9");
  });
});

test("an unset required field of proto2 is null", () => {
  const { Output } = typesOf(proto2, "unset", true);
  const { rows } = decode({ type: Output, datasets: [{ dataset: "out", rows: "rows" }] }, Uint8Array.of(10, 0));
  expect(rows["out"]![0]).toMatchObject({ uint64: null, side: null, string_list: "[]" });
});

describe("rows", () => {
  const scalar = (no: number, name: string, T: ScalarType, more: object = {}) =>
    ({ no, name, kind: "scalar", T, ...more }) as unknown as FieldInfo;
  const message = (no: number, name: string, T: MessageType, more: object = {}) =>
    ({ no, name, kind: "message", T, ...more }) as unknown as FieldInfo;
  const Transfer = proto3.makeMessageType("test.Transfer", () => [
    scalar(1, "mint", ScalarType.BYTES),
    scalar(2, "amount", ScalarType.UINT64),
  ]);
  const Meta = proto3.makeMessageType("test.Meta", () => [
    scalar(1, "fee", ScalarType.UINT64),
    scalar(2, "memo", ScalarType.STRING, { opt: true }),
  ]);
  const Instruction = proto3.makeMessageType("test.Instruction", () => [
    scalar(1, "index", ScalarType.UINT32),
    message(2, "transfer", Transfer, { oneof: "what" }),
    message(3, "burn", Transfer, { oneof: "what" }),
  ]);
  const Transaction = proto3.makeMessageType("test.Transaction", () => [
    scalar(1, "signature", ScalarType.BYTES),
    message(2, "instructions", Instruction, { repeated: true }),
    message(3, "meta", Meta),
  ]);
  const Events = proto3.makeMessageType("test.Events", () => [
    message(1, "transactions", Transaction, { repeated: true }),
  ]) as unknown as Loose;
  const mint = (n: number) => new Uint8Array(32).fill(n);
  const signature = (n: number) => new Uint8Array(64).fill(n);
  const output = new Events({
    transactions: [
      {
        signature: signature(1),
        meta: { fee: 5n },
        instructions: [
          { index: 3, what: { case: "transfer", value: { mint: mint(1), amount: 10n } } },
          { index: 4, what: { case: "burn", value: { mint: mint(2), amount: 20n } } },
          { index: 5, what: { case: "transfer", value: { mint: new Uint8Array(3), amount: 30n } } },
        ],
      },
      {
        signature: signature(2),
        instructions: [{ index: 0, what: { case: "transfer", value: { mint: mint(3), amount: 40n } } }],
      },
    ],
  } as PartialMessage<Message>).toBinary();
  const transfers: MapDataset = {
    dataset: "transfer",
    rows: "transactions.instructions.transfer",
    parents: ["transactions.meta.fee", "transactions.instructions.index"],
    mint: "mint",
    signature: "transactions.signature",
    instructionPath: ["transactions.instructions.index"],
  };

  test("a case of a oneof in nested lists, with inherited fields, its place and its token", () => {
    const { rows, stage } = decode({ type: Events, datasets: [transfers] }, output);
    expect(
      rows["transfer"]!.map((row) => [
        row["tx_index"],
        row["event_index"],
        row["instruction_path"],
        row["amount"],
        row["index"],
      ]),
    ).toEqual([
      [0, 0, "3", 10n, 3],
      [0, 1, "5", 30n, 5],
      [1, 0, "0", 40n, 0],
    ]);
    expect(rows["transfer"]!.map((row) => row["meta_fee"])).toEqual([5n, 5n, null]);
    expect(rows["transfer"]!.map((row) => row["mint"])).toEqual([mint(1), null, mint(3)]);
    expect(rows["transfer"]!.map((row) => row["signature"])).toEqual([signature(1), signature(1), signature(2)]);
    // The common column has the name; the field keeps its own, with all its bytes.
    expect(rows["transfer"]!.map((row) => row["row_mint"])).toEqual([
      bs58.encode(mint(1)),
      "111",
      bs58.encode(mint(3)),
    ]);
    expect(stage.health().programs["test.Events"]).toMatchObject({ seen: 3, decoded: 3, badValue: 0 });
  });

  test("bytes as hex or as they are; single messages flattened; the case that is set by name", () => {
    const all: MapDataset = {
      dataset: "all",
      rows: "transactions.instructions",
      bytes: "hex",
      bytesOf: { "burn.mint": "raw" },
    };
    const { rows } = decode({ type: Events, datasets: [all] }, output);
    expect(rows["all"]![1]).toMatchObject({ what: "burn", transfer_mint: null, burn_mint: mint(2), burn_amount: 20n });
    expect(rows["all"]![2]).toMatchObject({ what: "transfer", transfer_mint: "000000", burn_mint: null, index: 5 });
    // Without a signature the place in the output is the identity.
    expect(rows["all"]!.map((row) => [row["instruction_path"], row["ordinal"]])).toEqual([
      ["~0", 0],
      ["~0", 1],
      ["~0", 2],
      ["~1", 0],
    ]);
  });

  test("a part of the output that is left out, and several datasets of one output", () => {
    const slim: MapDataset = { dataset: "slim", rows: "transactions.instructions", omit: ["transfer", "burn.mint"] };
    const { rows, stage } = decode({ type: Events, datasets: [transfers, slim] }, output);
    expect(Object.keys(rows).sort()).toEqual(["slim", "transfer"]);
    expect(Object.keys(rows["slim"]![0]!).slice(9)).toEqual(["index", "what", "burn_amount"]);
    expect([...stage.catalog.keys()]).toEqual(["trades", "quarantine", "transfer", "slim"]);
  });

  test("damaged output is set aside whole; the next block is decoded", () => {
    const { rows, stage } = decode({ type: Events, datasets: [transfers] }, Uint8Array.of(10, 200, 1), output);
    expect(rows["quarantine"]).toHaveLength(1);
    expect(rows["quarantine"]![0]).toMatchObject({ reason: "bad_block", payload: Uint8Array.of(10, 200, 1) });
    expect(rows["transfer"]).toHaveLength(3);
    expect(stage.health().badBlocks).toBe(1);
  });

  test("messages within messages without end, and fields without number, are set aside whole, whatever their depth", () => {
    const Node: MessageType<Message> = proto3.makeMessageType("test.Node", () => [
      { no: 1, name: "children", kind: "message", T: Node, repeated: true },
      { no: 2, name: "by_name", kind: "map", K: ScalarType.STRING, V: { kind: "message", T: Node } },
    ]);
    const Tree = proto3.makeMessageType("test.Tree", () => [
      { no: 1, name: "rows", kind: "message", T: Node, repeated: true },
    ]);
    const map: MapSpec = { type: Tree, datasets: [{ dataset: "nodes", rows: "rows" }] };
    const nested = (depth: number) => {
      let inner: Uint8Array = new Uint8Array(0);
      for (let i = 0; i < depth; i++) {
        const writer = new BinaryWriter();
        inner = writer.tag(1, WireType.LengthDelimited).bytes(inner).finish();
      }
      return inner;
    };
    // From where writing them as JSON overflows the stack to where reading them does.
    for (const depth of [101, 1_000, 4_000, 6_500, 7_500, 20_000]) {
      const { rows } = decode(map, nested(depth), nested(50));
      expect(rows["quarantine"], String(depth)).toMatchObject([{ reason: "bad_block", slot: 100n }]);
      expect(rows["nodes"]).toHaveLength(1);
    }
    const wide = new Uint8Array(9_000_000).map((_, i) => (i % 2 === 0 ? 0x0a : 0));
    expect(decode(map, wide).rows["quarantine"]).toMatchObject([
      { detail: expect.stringMatching(/more than 4000000 fields/) },
    ]);
  });

  test("an empty output makes no rows", () => {
    expect(decode({ type: Events, datasets: [transfers] }, new Uint8Array(0)).rows).toEqual({});
  });

  test.each<[string, Partial<MapDataset>, string]>([
    ["a path that is not there", { rows: "transactions.instruktions" }, 'Did you mean "instructions"?'],
    ["rows that are no message", { rows: "transactions.signature" }, "proposes"],
    ["a parent that is not there", { parents: ["transactions.sig"] }, "It has: signature"],
    ["a mint through a list", { mint: "transactions.instructions.index", rows: "transactions.meta" }, "proposes"],
    ["a mint that the row lacks", { mint: "mnt" }, 'Did you mean "mint"?'],
    ["a table of what has none", { table: { name: "t", columns: {} } }, "proposes"],
  ])("%s is refused with what there is", (_, change, hint) => {
    try {
      decode({
        type: Events,
        datasets: [{ ...transfers, parents: [], signature: "transactions.signature", instructionPath: [], ...change }],
      });
      throw new Error("accepted");
    } catch (error) {
      if (!(error instanceof SluiceError)) throw error;
      expect(error.code).toMatch(/^MAP_(PATH|FIELD)$/);
      expect(error.hint).toContain(hint);
    }
  });
});
