/** The section `maps` of `sluice.yaml`: which rows the outputs of a Substreams module make. */
import { type Static, Type } from "@sinclair/typebox";
import { section } from "./config-section.ts";

const closed = { additionalProperties: false } as const;
const path = (description: string) => Type.String({ minLength: 1, maxLength: 200, description });
const identifier = (description: string) =>
  Type.String({
    pattern: "^[a-z][a-z0-9_]{0,62}$",
    description: `${description} (a-z, 0-9 and _, at most 63, a letter first)`,
  });
const bytes = Type.Union([Type.Literal("base58"), Type.Literal("hex"), Type.Literal("raw")], {
  description: "base58, hex or raw",
});
const decimals = Type.Integer({ minimum: 0, maximum: 30 });
const COLUMN_TYPES = [
  ...["bool", "u8", "u16", "u32", "u64", "u128", "i8", "i16", "i32", "i64", "i128"],
  ...["f32", "f64", "bytes32", "bytes64", "bytes", "utf8", "json"],
];
const columnType = Type.String({
  pattern: `^(${COLUMN_TYPES.join("|")})$`,
  description: `one of ${COLUMN_TYPES.join(", ")}`,
});

const Side = Type.Object({ mint: path("the field with the token"), amount: path("the field with the amount") }, closed);

const Trade = Type.Object(
  {
    kind: Type.Optional(identifier("what `trades.kind` says; default: the dataset")),
    user: path("the field with the address of who traded"),
    input: Side,
    output: Side,
    decimals: Type.Integer({
      minimum: 0,
      maximum: 30,
      description: "decimals of a token that `decimalsOf` does not name",
    }),
    decimalsOf: Type.Optional(Type.Record(Type.String(), decimals, { description: "a mapping of decimals by mint" })),
    venue: Type.Optional(path("the field with the program that did the swap")),
    aggregators: Type.Optional(
      Type.Array(Type.String(), { description: "a list of the programs that repeat what pools report" }),
    ),
    unattributed: Type.Optional(
      Type.Boolean({
        description:
          "true: rows do not say whether pool or aggregator tells, so equal ones of a transaction are one swap",
      }),
    ),
  },
  closed,
);

export const MapSetting = Type.Object(
  {
    preset: Type.Optional(Type.String({ minLength: 1, description: "the name of a preset" })),
    package: Type.Optional(
      Type.String({
        minLength: 1,
        address: true,
        description: "a .spkg file or an https URL; default: source.package",
      }),
    ),
    module: Type.Optional(path("the module whose output it is; default: source.module")),
    dataset: Type.Optional(identifier("the name of the dataset")),
    rows: Type.Optional(
      Type.String({
        maxLength: 200,
        description: "the fields down to the message that makes a row, separated by dots",
      }),
    ),
    parents: Type.Optional(Type.Array(path("a path"), { description: "a list of fields of the messages above" })),
    omit: Type.Optional(Type.Array(path("a path"), { description: "a list of fields to leave out" })),
    bytes: Type.Optional(bytes),
    bytesOf: Type.Optional(
      Type.Record(Type.String(), bytes, { description: "a mapping of base58, hex or raw by path" }),
    ),
    mint: Type.Optional(
      Type.Union([
        path("the field that names the token"),
        Type.Object(
          {
            of: Type.Tuple([path("a field"), path("a field")], { description: "two fields that name tokens" }),
            rule: Type.Union(
              [Type.Literal("token"), Type.Literal("first"), Type.Literal("second"), Type.Literal("both")],
              { default: "token", description: "token (the one that is not SOL, USDC or USDT), first, second or both" },
            ),
          },
          closed,
        ),
      ]),
    ),
    signature: Type.Optional(path("the field with the transaction's signature")),
    program: Type.Optional(path("the field with the program's address")),
    instruction: Type.Optional(
      Type.Array(path("a path"), { description: "a list of fields that tell the instruction" }),
    ),
    trade: Type.Optional(Trade),
    table: Type.Optional(path("of DatabaseChanges: the table")),
    columns: Type.Optional(
      Type.Record(Type.String(), columnType, { description: "of DatabaseChanges: the types of the table's columns" }),
    ),
  },
  closed,
);
export type MapSetting = Static<typeof MapSetting>;

export const MAPS = section(
  Type.Array(MapSetting, { description: "a list of mappings" }),
  [],
  "Rows from outputs that are not blocks of transactions, one dataset each. `sluice map` proposes them for a package.",
);
