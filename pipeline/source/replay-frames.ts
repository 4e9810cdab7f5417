/** gRPC frames of a replay: blocks as they lie on the tape, wrapped for the protocol's version, and the rest. */
import type { PartialMessage } from "@bufbuild/protobuf";
import { varintSize, writeVarint } from "./framing.ts";
import { frameOf, newFrame } from "./grpc-server.ts";
import { type Protocol, responseType, type StreamResponse } from "./rpc.ts";
import type { TapeBlock } from "./tape.ts";

/** Tags of field 3 of `Response` (a block in v2 and v3, a batch in v4) and of field 1 of a batch (its items). */
const BLOCK_TAG = 0x1a;
const ITEM_TAG = 0x0a;
/** Tag of `BlockScopedData.final_block_height`. */
const FINAL_HEIGHT_TAG = 0x20;

/**
 * Frames for `blocks`: one for all of them in v4, one each before. `bytes` is the tape from the first block's item on.
 * `asFinal`: with each block as its own final height, as streams of final blocks carry it.
 */
export function blockFrames(
  protocol: Protocol,
  bytes: Uint8Array,
  blocks: readonly TapeBlock[],
  asFinal: boolean,
): Buffer[] {
  const start = blocks[0]?.offset ?? 0;
  const items = blocks.map((block) => {
    const item = bytes.subarray(block.offset - start, block.offset - start + block.itemBytes);
    return asFinal ? finalItem(item.subarray(item.length - block.dataBytes), block.slot) : [item];
  });
  if (protocol !== "v4") return items.map(singleFrame);
  return [batchFrame(items.flat())];
}

/** Of a field that is there twice the last one counts, so the new final height goes behind what was recorded. */
function finalItem(data: Uint8Array, slot: number): Uint8Array[] {
  const height = tagged(FINAL_HEIGHT_TAG, slot);
  return [tagged(ITEM_TAG, data.length + height.length), data, height];
}

function tagged(tag: number, value: number): Uint8Array {
  const out = new Uint8Array(1 + varintSize(value));
  out[0] = tag;
  writeVarint(value, out, 1);
  return out;
}

function batchFrame(pieces: readonly Uint8Array[]): Buffer {
  const head = tagged(BLOCK_TAG, sizeOf(pieces));
  return joined([head, ...pieces]);
}

/** An item of a batch is a single block's message but for the tag. */
function singleFrame(pieces: readonly Uint8Array[]): Buffer {
  const frame = joined(pieces);
  frame[frame.length - sizeOf(pieces)] = BLOCK_TAG;
  return frame;
}

function joined(pieces: readonly Uint8Array[]): Buffer {
  const frame = newFrame(sizeOf(pieces));
  let at = frame.length - sizeOf(pieces);
  for (const piece of pieces) {
    frame.set(piece, at);
    at += piece.length;
  }
  return frame;
}

function sizeOf(pieces: readonly Uint8Array[]): number {
  let size = 0;
  for (const piece of pieces) size += piece.length;
  return size;
}

/** Any message; session, progress and undo messages are the same in all versions. */
export function messageFrame(
  message: NonNullable<PartialMessage<StreamResponse>["message"]>,
  protocol: Protocol = "v4",
): Buffer {
  const type = responseType(protocol);
  return frameOf(new type({ message }).toBinary());
}
