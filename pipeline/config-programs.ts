/** The section `programs` of `sluice.yaml`: which programs to decode, by preset or by Anchor IDL. */
import { type Static, Type } from "@sinclair/typebox";
import { section } from "./config-section.ts";

const closed = { additionalProperties: false } as const;
const identifier = (description: string) =>
  Type.String({
    pattern: "^[a-z][a-z0-9_]{0,62}$",
    description: `${description} (a-z, 0-9 and _, at most 63, a letter first)`,
  });
const address = (description: string) => Type.String({ minLength: 32, maxLength: 44, description });
const fieldPath = (description: string) => Type.String({ minLength: 1, maxLength: 200, description });
const location = Type.String({
  minLength: 1,
  address: true,
  description: "an IDL: a JSON file, an https URL, or a file with the bytes of the program's IDL account",
});
const decimals = (description: string) => Type.Integer({ minimum: 0, maximum: 30, description });

/** Price of one whole base token in whole quote tokens. */
const PriceSetting = Type.Union([
  fieldPath("a field that is the price already, as a multiple of 1e-28"),
  Type.Object(
    {
      quote: fieldPath("the field with the amount or reserve of the quote token"),
      base: fieldPath("the field with the amount or reserve of the base token"),
      quoteDecimals: decimals("decimals of the quote token, 9 for SOL"),
      baseDecimals: decimals("decimals of the base token, 6 for most launchpads"),
    },
    { ...closed, description: "a mapping of quote, base, quoteDecimals and baseDecimals" },
  ),
]);

const kind = Type.Optional(identifier("what `trades.kind` says; default: the dataset"));
const user = fieldPath("who traded: a field, accounts.NAME, or signer");

/** An event of one token that trades against SOL. */
const TokenTradeSetting = Type.Object(
  {
    kind,
    user,
    isBuy: Type.Optional(
      Type.Union([
        fieldPath("a bool field that is true for a buy"),
        Type.Boolean(),
        Type.Object(
          { field: fieldPath("an enum field"), equals: Type.String({ description: "the variant that is a buy" }) },
          closed,
        ),
      ]),
    ),
    base: Type.Optional(fieldPath("the field with the amount of the token")),
    quote: Type.Optional(fieldPath("the field with the amount of SOL")),
    price: PriceSetting,
    quoteMint: Type.Optional(fieldPath("the field with the quote token: a trade only where that is SOL")),
  },
  closed,
);

const SideSetting = Type.Object(
  {
    mint: fieldPath("the token of this side: a field or accounts.NAME"),
    amount: fieldPath("the field with the amount of this side"),
  },
  closed,
);

/** A swap of two tokens; it makes a trade when one of them is wrapped SOL. */
const SwapTradeSetting = Type.Object(
  {
    kind,
    user,
    input: SideSetting,
    output: SideSetting,
    decimals: Type.Optional(decimals("decimals of the token where the transaction does not tell")),
    venue: Type.Optional(fieldPath("of an aggregator: the field with the program that did the swap")),
  },
  closed,
);

const TradeSetting = Type.Union([TokenTradeSetting, SwapTradeSetting]);

const mintRule = Type.Union([
  fieldPath("what names the token: a field or accounts.NAME"),
  Type.Tuple([fieldPath("a token"), fieldPath("another token")], {
    description: "two such, of which the one counts that is not SOL, USDC or USDT",
  }),
  Type.Null({ description: "null for none" }),
]);

const EventSetting = Type.Object(
  {
    dataset: Type.Optional(identifier("the name of the event's dataset")),
    mint: Type.Optional(mintRule),
    trade: Type.Optional(TradeSetting),
  },
  closed,
);

const InstructionSetting = Type.Object(
  {
    dataset: Type.Optional(identifier("the name of the instruction's dataset")),
    mint: Type.Optional(fieldPath("the account or argument that names the token")),
  },
  closed,
);

export const ProgramSetting = Type.Object(
  {
    preset: Type.Optional(Type.String({ minLength: 1, description: "the name of a preset" })),
    name: Type.Optional(identifier("a short name for metrics and messages")),
    id: Type.Optional(address("the program's address, base58")),
    idl: Type.Optional(location),
    earlier: Type.Optional(Type.Array(location, { description: "a list of earlier IDLs of the program" })),
    later: Type.Optional(
      Type.Array(location, { description: "a list of later IDLs of a preset's program, whose layouts it lacks" }),
    ),
    prefix: Type.Optional(identifier("what is put before the names of datasets")),
    mint: Type.Optional(fieldPath("the field that names the token of an event")),
    only: Type.Optional(Type.Array(Type.String(), { description: "a list of the events to decode" })),
    events: Type.Optional(Type.Record(Type.String(), EventSetting, { description: "a mapping by event name" })),
    instructions: Type.Optional(
      Type.Union([
        Type.Literal("all"),
        Type.Array(Type.String({ description: "the name of an instruction" }), {
          description: "a list of instructions",
        }),
        Type.Record(Type.String(), InstructionSetting, { description: "a mapping by instruction name" }),
      ]),
    ),
  },
  closed,
);
export type ProgramSetting = Static<typeof ProgramSetting>;

export const PROGRAMS = section(
  Type.Array(ProgramSetting, { description: "a list of programs" }),
  [],
  "Programs to decode: each by `preset`, or by `idl` with what names the token. With `decode.programs`, both count.",
);
