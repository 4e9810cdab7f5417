/**
 * Goal: what is remembered is what decoding would give, and only of the very same bytes; the memory is bounded and empty where
 * nobody reads. Method: batches encoded and decoded through a codec that remembers, beside one that does not.
 */
import { expect, test } from "bun:test";
import type { BlockBatch, Signal } from "./batch.ts";
import { blockCodec, decodeMessage, encodeMessage, type Message } from "./message.ts";
import { remembering } from "./remembering.ts";

const position = (slot: number) => ({ slot, hash: `h${slot}`, cursor: `c${slot}`, moduleHash: "m" });

/** Noise, so that a message is about as large as its payload. */
function batch(slot: number, payloadBytes = 1_000): Signal<BlockBatch> & { kind: "data" } {
  const payload = Uint8Array.from({ length: payloadBytes }, (_, i) => (i * i * 31 + slot * 17 + (i >> 3)) & 0xff);
  const block = { slot, hash: `h${slot}`, cursor: `c${slot}`, time: slot, finalSlot: slot - 1 };
  const body = { blocks: [block], typeName: "t.Blocks", payloads: [payload] };
  return { kind: "data", prev: position(slot - 1), next: position(slot), finalSlot: slot - 1, body };
}

/** A codec that counts how often it really decodes. */
function counting() {
  const counts = { decoded: 0 };
  const codec = {
    ...blockCodec,
    decode(message: Message) {
      counts.decoded++;
      return blockCodec.decode(message);
    },
  };
  return { counts, codec };
}

/** `message` as another process would receive it. */
const received = ({ header, body }: Message): Message => ({
  header: JSON.parse(JSON.stringify(header)),
  body: body.slice(),
});

test("a message is read without decoding once, and says what it would say", () => {
  const { counts, codec } = counting();
  const both = remembering(codec, 1024 * 1024);
  decodeMessage(received(encodeMessage(batch(1), both, 0)), both);
  expect(counts.decoded).toBe(1);
  for (const slot of [2, 3]) {
    const sent = batch(slot);
    const message = received(encodeMessage(sent, both, 0));
    expect(decodeMessage(message, both)).toEqual(decodeMessage(message, blockCodec));
  }
  expect(counts.decoded).toBe(1);
  const again = received(encodeMessage(batch(4), both, 0));
  for (const times of [1, 2]) {
    expect(decodeMessage(again, both)).toEqual(batch(4));
    expect(counts.decoded).toBe(times);
  }
});

test("other bytes, and another type of the same bytes, are decoded", () => {
  const { counts, codec } = counting();
  const both = remembering(codec, 1024 * 1024);
  const read = (message: Message) => decodeMessage(message, both);
  read(received(encodeMessage(batch(1), both, 0)));
  const message = encodeMessage(batch(2), both, 0);
  const typed = { ...received(message), header: { ...message.header, type: "other.Blocks" } };
  expect(read(typed)).toMatchObject({ body: { typeName: "other.Blocks" } });
  expect(counts.decoded).toBe(2);
  // Of another content with, as if by chance, the same checksum: what is remembered must not stand for it.
  const other = encodeMessage(batch(3), blockCodec, 0);
  const forged = { header: { ...other.header, crc32: message.header.crc32 }, body: other.body };
  expect(both.decode(forged)).toEqual(batch(3).body);
  expect(counts.decoded).toBe(3);
});

test("the oldest is forgotten when there is no room; what is larger than all room is not kept", () => {
  const { counts, codec } = counting();
  const both = remembering(codec, 5_000);
  const decode = (message: Message) => decodeMessage(received(message), both);
  decode(encodeMessage(batch(1), both, 0));
  const messages = [2, 3, 4, 5].map((slot) => encodeMessage(batch(slot), both, 0));
  decode(messages.at(-1)!);
  expect(counts.decoded).toBe(1);
  decode(messages[0]!);
  expect(counts.decoded).toBe(2);
  decode(encodeMessage(batch(6, 10_000), both, 0));
  expect(counts.decoded).toBe(3);
});

test("nothing is kept where nobody reads", () => {
  const { counts, codec } = counting();
  const both = remembering(codec, 1024 * 1024);
  const message = encodeMessage(batch(1), both, 0);
  decodeMessage(received(message), both);
  expect(counts.decoded).toBe(1);
});
