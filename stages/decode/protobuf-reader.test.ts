/** Goal: the cursor reads what protobuf writes and answers every malformed input with Poison. Method: hand-written bytes. */
import { describe, expect, test } from "bun:test";
import { Poison } from "../../pipeline/errors.ts";
import { bytesField, concat, varint, varintField } from "./block-fixture.ts";
import { ProtobufReader } from "./protobuf-reader.ts";

function readerOf(bytes: Uint8Array): ProtobufReader {
  const reader = new ProtobufReader();
  reader.reset(bytes);
  return reader;
}

/** Skips every field and returns the tags. */
function skipAll(bytes: Uint8Array): number[] {
  const reader = readerOf(bytes);
  const tags: number[] = [];
  for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) {
    tags.push(tag);
    reader.skip(tag);
  }
  return tags;
}

function codeOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    expect(error).toBeInstanceOf(Poison);
    return (error as Poison).code;
  }
  return "nothing thrown";
}

describe("varint", () => {
  test.each([0, 1, 127, 128, 300, 16_383, 16_384, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1])("reads %p", (value) => {
    expect(readerOf(Uint8Array.from(varint(value))).varint()).toBe(value);
  });

  test("takes ten bytes and not eleven", () => {
    const ten = Uint8Array.from([...Array(9).fill(0xff), 0x01]);
    expect(readerOf(ten).varint()).toBe(Number(2n ** 64n - 1n));
    expect(codeOf(() => readerOf(Uint8Array.from([...Array(10).fill(0x80), 0x01])).varint())).toBe("PROTOBUF_VARINT");
  });

  test.each([[[]], [[0x80]], [[0xff, 0xff]]])("ends with its message: %p", (bytes) => {
    expect(codeOf(() => readerOf(Uint8Array.from(bytes)).varint())).toBe("PROTOBUF_TRUNCATED");
  });
});

describe("messages", () => {
  test("fields of every wire type are skipped to the byte", () => {
    const message = concat([
      varintField(1, 2n ** 64n - 1n),
      Uint8Array.of((2 << 3) | 1, 1, 2, 3, 4, 5, 6, 7, 8),
      bytesField(3, new Uint8Array(200)),
      Uint8Array.of((4 << 3) | 5, 1, 2, 3, 4),
      Uint8Array.of((5 << 3) | 3, (1 << 3) | 0, 7, (6 << 3) | 3, (6 << 3) | 4, (5 << 3) | 4),
      varintField(100_000, 1),
    ]);
    expect(skipAll(message)).toEqual([8, 17, 26, 37, 43, 800_000]);
  });

  test("a nested message ends where its length says, wherever its reader stopped", () => {
    const reader = readerOf(concat([bytesField(1, concat([varintField(1, 5), varintField(2, 6)])), varintField(2, 7)]));
    expect(reader.tag()).toBe(10);
    const outer = reader.open();
    expect(reader.tag()).toBe(8);
    expect(reader.varint()).toBe(5);
    reader.close(outer);
    expect(reader.tag()).toBe(16);
    expect(reader.varint()).toBe(7);
    expect(reader.tag()).toBe(0);
  });

  test("a nested message cannot reach beyond its end", () => {
    const inner = Uint8Array.of((1 << 3) | 2, 5);
    const reader = readerOf(concat([bytesField(1, inner), new Uint8Array(20)]));
    reader.tag();
    reader.open();
    const tag = reader.tag();
    expect(codeOf(() => reader.skip(tag))).toBe("PROTOBUF_LENGTH");
  });
});

describe("malformed", () => {
  const nested = (depth: number) => Uint8Array.from([...Array(depth).fill(0x0b), ...Array(depth).fill(0x0c)]);

  test.each([
    ["length beyond the buffer", Uint8Array.of(0x0a, 5, 1), "PROTOBUF_LENGTH"],
    ["length of 2^63", Uint8Array.from([0x0a, ...varint(2n ** 63n)]), "PROTOBUF_LENGTH"],
    ["field number 0", Uint8Array.of(0x02, 0), "PROTOBUF_TAG"],
    ["field number 0 in a long tag", Uint8Array.of(0x82, 0x00, 0), "PROTOBUF_TAG"],
    ["tag above 32 bits", Uint8Array.from([...varint(2n ** 32n + 8n), 0]), "PROTOBUF_TAG"],
    ["wire type 6", Uint8Array.of(0x0e), "PROTOBUF_TAG"],
    ["wire type 7", Uint8Array.of(0x0f), "PROTOBUF_TAG"],
    ["end of a group that never began", Uint8Array.of(0x0c), "PROTOBUF_TAG"],
    ["group that does not end", Uint8Array.of(0x0b, 0x08, 1), "PROTOBUF_TRUNCATED"],
    ["group ended by another's end", Uint8Array.of(0x0b, 0x14), "PROTOBUF_TAG"],
    ["short fixed64", Uint8Array.of(0x09, 1, 2, 3), "PROTOBUF_TRUNCATED"],
    ["short fixed32", Uint8Array.of(0x0d, 1), "PROTOBUF_TRUNCATED"],
    ["101 nested groups", nested(101), "PROTOBUF_NESTING"],
    ["100,000 nested groups", nested(100_000), "PROTOBUF_NESTING"],
  ])("%s", (_, bytes, code) => {
    expect(codeOf(() => skipAll(bytes))).toBe(code);
  });

  test("100 nested groups are still data", () => {
    expect(skipAll(nested(100))).toEqual([0x0b]);
  });
});
