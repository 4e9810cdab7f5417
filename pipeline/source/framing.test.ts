/**
 * Goal: messages come out of a stream of bytes whole, whatever the chunks, and malformed prefixes are refused before
 * memory is taken. Method: property tests over message lengths and chunk borders for both kinds of prefix.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  GrpcPrefix,
  MessageReader,
  MessageTooLarge,
  type Prefix,
  VarintPrefix,
  varintSize,
  writeVarint,
} from "./framing.ts";

const kinds = {
  varint: {
    prefix: (): Prefix => new VarintPrefix(),
    frame(message: Uint8Array): Uint8Array {
      const start = varintSize(message.length);
      const out = new Uint8Array(start + message.length);
      expect(writeVarint(message.length, out, 0)).toBe(start);
      out.set(message, start);
      return out;
    },
  },
  grpc: {
    prefix: (): Prefix => new GrpcPrefix(),
    frame(message: Uint8Array): Uint8Array {
      const out = new Uint8Array(5 + message.length);
      new DataView(out.buffer).setUint32(1, message.length);
      out.set(message, 5);
      return out;
    },
  },
};

describe.each(Object.entries(kinds))("%s", (_, { prefix, frame }) => {
  test("messages come out whole wherever the chunks are cut", () => {
    const messages = fc.array(fc.uint8Array({ maxLength: 400 }), { maxLength: 12 });
    const cuts = fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1 });
    fc.assert(
      fc.property(messages, cuts, (expected, steps) => {
        const bytes = Uint8Array.from(Buffer.concat(expected.map(frame)));
        const reader = new MessageReader(prefix(), 400);
        const out: Uint8Array[] = [];
        for (let at = 0, i = 0; at < bytes.length; i++) {
          const end = Math.min(bytes.length, at + steps[i % steps.length]!);
          const chunk = bytes.slice(at, end);
          const came = [...reader.push(chunk)];
          // Who is not told that a view was lent may overwrite the chunk.
          if (!reader.lent) chunk.fill(0xee);
          expect(reader.lent).toBe(came.some((message) => message.buffer === chunk.buffer));
          for (const message of came) out.push(Uint8Array.from(message));
          at = end;
        }
        expect(out).toEqual(expected);
        expect(reader.count).toBe(expected.length);
        expect(reader.unfinished).toBe(false);
      }),
    );
  });

  test("a cut is noticed at every byte", () => {
    const bytes = frame(new Uint8Array(200));
    for (let end = 1; end < bytes.length; end++) {
      const reader = new MessageReader(prefix(), 1000);
      expect([...reader.push(bytes.subarray(0, end))]).toEqual([]);
      expect(reader.unfinished).toBe(true);
    }
  });

  test("a length over the limit is refused with its prefix", () => {
    const bytes = frame(new Uint8Array(200));
    expect(() => [...new MessageReader(prefix(), 199).push(bytes.subarray(0, -200))]).toThrow(MessageTooLarge);
    expect([...new MessageReader(prefix(), 200).push(bytes)].length).toBe(1);
  });
});

test("varints: every safe integer survives, in the size announced", () => {
  const edges = [0, 1, 127, 128, 16383, 16384, 2 ** 31 - 1, 2 ** 31, 2 ** 32, Number.MAX_SAFE_INTEGER];
  const integer = fc.oneof(fc.constantFrom(...edges), fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }));
  fc.assert(
    fc.property(integer, (value) => {
      const out = new Uint8Array(varintSize(value));
      expect(writeVarint(value, out, 0)).toBe(out.length);
      const prefix = new VarintPrefix();
      const taken = Array.from(out, (byte) => prefix.take(byte));
      expect(taken.at(-1)).toBe(value);
      expect(taken.slice(0, -1).every((length) => length === null)).toBe(true);
    }),
  );
  const out = new Uint8Array(2);
  writeVarint(300, out, 0);
  expect(out).toEqual(Uint8Array.of(0xac, 0x02));
});

test("prefixes that no writer makes are refused", () => {
  const endless = () => [...new MessageReader(new VarintPrefix(), 10).push(new Uint8Array(12).fill(0x80))];
  expect(endless).toThrow(SyntaxError);
  const huge = () => [...new MessageReader(new VarintPrefix(), 10).push(new Uint8Array(9).fill(0xff))];
  expect(huge).toThrow(SyntaxError);
  expect(() => new GrpcPrefix().take(2)).toThrow(SyntaxError);
});

test("gRPC says of each message whether it is compressed", () => {
  const prefix = new GrpcPrefix();
  const flags = [];
  for (const _ of new MessageReader(prefix, 10).push(Uint8Array.of(1, 0, 0, 0, 1, 9, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0))) {
    flags.push(prefix.compressed);
  }
  expect(flags).toEqual([true, false, true]);
});
