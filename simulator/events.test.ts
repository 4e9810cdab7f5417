/**
 * Events as bytes: discriminators and body lengths from the program's IDL, payloads against the ones recorded from the
 * real chain, and the other encodings of the simulator against independent ones.
 */
import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { BinaryWriter, WireType } from "@bufbuild/protobuf";
import bs58 from "bs58";
import fc from "fast-check";
import { Account } from "./accounts.ts";
import { base58 } from "./base58.ts";
import {
  DISCRIMINATORS,
  EMIT_CPI_TAG,
  EVENT_DATASETS,
  type EventDataset,
  encodeEvent,
  idlName,
  LAYOUTS,
  type MarketEvent,
} from "./events.ts";
import { ProtoWriter } from "./protobuf.ts";
import { Random } from "./random.ts";

const DATA = join(import.meta.dir, "../../shared/data");
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
const key = (text: string) => new Account(bs58.decode(text));

/** Discriminator and body length of each event with empty texts, from the IDL. */
const GOLDEN: Readonly<Record<EventDataset, readonly [string, number]>> = {
  token_created: ["607a718a32e39539", 261 + 12],
  buy_sell: ["62d0783c5d2013b4", 97],
  long_short: ["1b4514743afa5fdc", 259],
  force_liquidate: ["eac4b769281ace30", 96],
  full_close: ["16f471f59aa86d8b", 169],
  partial_close: ["855e03de1844459b", 316],
  milestone_discount: ["82e80b2522b98880", 101],
};

function blank(kind: keyof typeof LAYOUTS): MarketEvent {
  const zero: Record<string, unknown> = { pubkey: new Account(new Uint8Array(32)), string: "", u64: 0n, u128: 0n };
  const fields = LAYOUTS[kind].map(([name, type]) => [name, zero[type] ?? 0]);
  return { kind, ...Object.fromEntries(fields) } as MarketEvent;
}

describe("layouts", () => {
  test.each([...EVENT_DATASETS])("%s has the IDL's discriminator and length", (name) => {
    const [discriminator, length] = GOLDEN[name];
    expect(hex(DISCRIMINATORS[name])).toBe(discriminator);
    expect(encodeEvent(blank(name)).length).toBe(8 + length);
  });

  test("the tag of emit_cpi events", () => {
    expect(hex(EMIT_CPI_TAG)).toBe("e445a52e51cb9a1d");
  });

  test("fields stand at the offsets of the IDL", () => {
    const bytes = encodeEvent({
      ...blank("partial_close"),
      is_close_long: true,
      user_close_profit: 2n ** 64n - 1n,
      latest_price: 2n ** 127n + 5n,
      order_type: 2,
      end_time: 0xdeadbeef,
      borrow_fee: 0xabcd,
    } as MarketEvent);
    const body = Buffer.from(bytes.subarray(8));
    expect(body[96]).toBe(1);
    expect(body.readBigUInt64LE(113)).toBe(2n ** 64n - 1n);
    expect(body.readBigUInt64LE(121)).toBe(5n);
    expect(body.readBigUInt64LE(129)).toBe(2n ** 63n);
    expect(body[169]).toBe(2);
    expect(body.readUInt32LE(286)).toBe(0xdeadbeef);
    expect(body.readUInt16LE(314)).toBe(0xabcd);
  });

  test("the older TokenCreated gives the bytes that the chain has recorded", () => {
    const recorded =
      "YHpxijLjlTkB4zScH0SsToNyGhiec5kGdF1GkonqmEVHiLviqlJ60WgjO/+njIoWNEoSAEU8V61EXu4pMCStPZwLpldHFrBpILIFqP1L5oIol8LWnxYiG7ZVysJ6CbmZXmKMJ28xsiwFAAAASGVsbG8DAAAASExPJAAAAGh0dHBzOi8vZXhhbXBsZS5jb20vaGVsbG8tdG9rZW4uanNvbg==";
    const bytes = encodeEvent({
      kind: "token_created_v0",
      payer: key("8NMGPAQgvsFZDMdRkJWukhrvem1WDd1JXv8nPhhkRKe"),
      mint_account: key("81WZbeJwfo9mTBRZsBqaUBWa2jeRKH2LQi54uwXdZYoa"),
      curve_account: key("3CdVRJuTzgGsT3a1S5WyMeaN9PZzqhsbGWM3zsYJ463V"),
      name: "Hello",
      symbol: "HLO",
      uri: "https://example.com/hello-token.json",
    });
    expect(Buffer.from(bytes).toString("base64")).toBe(recorded);
  });

  test.skipIf(!existsSync(DATA))("the whole table is the published IDL's (needs ../shared/data)", () => {
    const idl = JSON.parse(readFileSync(join(DATA, "idl/spinpet.json"), "utf8")) as {
      events: { name: string; discriminator: number[] }[];
      types: { name: string; type: { fields: { name: string; type: string }[] } }[];
    };
    for (const name of EVENT_DATASETS) {
      const fields = idl.types.find((type) => type.name === idlName(name))!.type.fields;
      expect(LAYOUTS[name] as unknown).toEqual(fields.map((field) => [field.name, field.type]));
      expect([...DISCRIMINATORS[name]]).toEqual(
        idl.events.find((event) => event.name === idlName(name))!.discriminator,
      );
    }
  });
});

test("base58 writes what the general codec writes", () => {
  const bytes = fc.tuple(fc.nat({ max: 3 }), fc.uint8Array({ maxLength: 61 }));
  fc.assert(
    fc.property(bytes, ([zeros, rest]) => {
      const all = Uint8Array.from([...new Array<number>(zeros).fill(0), ...rest]);
      expect(base58(all)).toBe(bs58.encode(all));
    }),
    { numRuns: 500 },
  );
  expect(base58(new Uint8Array(64).fill(255))).toBe(bs58.encode(new Uint8Array(64).fill(255)));
});

describe("the protobuf writer", () => {
  test("writes what protobuf-es writes, at every size of nested message", () => {
    const message = fc.record({
      number: fc.maxSafeNat(),
      float: fc.double({ noNaN: true }).filter((x) => x !== 0),
      bytes: fc.uint8Array({ maxLength: 300 }),
      text: fc.string({ unit: "grapheme", maxLength: 60 }),
      filler: fc.constantFrom(0, 100, 128, 16_383, 16_384, 70_000),
    });
    fc.assert(
      fc.property(message, ({ number, float, bytes, text, filler }) => {
        const ours = new ProtoWriter(16);
        const outer = ours.begin(4);
        const inner = ours.begin(1000);
        ours.presentUint(1, number);
        ours.double(2, float);
        ours.text(3, text);
        ours.end(inner);
        ours.bytes(5, bytes);
        ours.bytes(6, new Uint8Array(filler));
        ours.end(outer);
        const theirs = new BinaryWriter().tag(4, WireType.LengthDelimited).fork();
        theirs.tag(1000, WireType.LengthDelimited).fork();
        theirs.tag(1, WireType.Varint).uint64(BigInt(number)).tag(2, WireType.Bit64).double(float);
        theirs.tag(3, WireType.LengthDelimited).string(text).join();
        theirs.tag(5, WireType.LengthDelimited).bytes(bytes);
        theirs.tag(6, WireType.LengthDelimited).bytes(new Uint8Array(filler)).join();
        expect(hex(ours.finish())).toBe(hex(theirs.finish()));
      }),
    );
  });

  test("base64 of any length", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        const out = new ProtoWriter(8);
        out.base64(bytes);
        expect(Buffer.from(out.finish()).toString("latin1")).toBe(Buffer.from(bytes).toString("base64"));
      }),
    );
  });
});

describe("randomness", () => {
  test("streams of a seed differ, and so do seeds and indexes that a 32-bit state would confuse", () => {
    const starts = [
      new Random(1, "chain"),
      new Random(1, "market"),
      new Random(2, "chain"),
      new Random(1 + 2 ** 32, "chain"),
      new Random(1, "chain", 1),
      new Random(1, "chain", 1 + 2 ** 32),
    ].map((random) => hex(random.bytes(16)));
    expect(new Set(starts).size).toBe(starts.length);
  });

  test("numbers stay in their ranges", () => {
    const random = new Random(3, "chain");
    for (let i = 0; i < 10_000; i++) {
      const n = random.between(12, 40);
      expect(n >= 12 && n <= 40).toBe(true);
      expect(random.skewed(7)).toBeLessThan(7);
    }
    expect(new Random(3, "chain").bytes(7).length).toBe(7);
  });
});
