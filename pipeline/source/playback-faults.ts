/** What a replay does when a fault strikes. See `faults.ts` for what each is to look like from outside. */
import { constants } from "node:http2";
import { BlockScopedData, BlockUndoSignal } from "@substreams/core/proto";
import type { FaultKind } from "./faults.ts";
import { frameOf, type ServerCall } from "./grpc-server.ts";
import { GrpcCode, type GrpcStatus } from "./grpc-status.ts";
import { messageFrame } from "./replay-frames.ts";
import type { Protocol } from "./rpc.ts";
import type { Tape, TapeBlock, TapeEntry } from "./tape.ts";

/** Blocks of a made-up fork. */
const FORK_BLOCKS = 2;
/** Cursors of made-up blocks: whoever brings one is sent back to the real one behind it. */
const FORK_CURSOR = /^made-up-\d+:(.*)$/s;

const STATUSES: Partial<Readonly<Record<FaultKind, GrpcStatus>>> = {
  unavailable: { code: GrpcCode.unavailable, message: "the endpoint is shutting down" },
  repeat: { code: GrpcCode.unavailable, message: "the endpoint is shutting down" },
  exhausted: { code: GrpcCode.resourceExhausted, message: "no free stream" },
  quota: { code: GrpcCode.resourceExhausted, message: "quota exceeded" },
  expired: { code: GrpcCode.unauthenticated, message: "the token has expired" },
};

/** A call at the moment before a block goes out. */
export interface Scene {
  readonly tape: Tape;
  readonly call: ServerCall;
  readonly protocol: Protocol;
  readonly entries: readonly TapeEntry[];
  /** Index of the block. */
  readonly at: number;
  /** First slot that the client wants. */
  readonly from: number;
  /** The client wants final blocks only: there is no undoing. */
  readonly finalOnly: boolean;
}

/** Where the call goes on; or how it ends, null: in silence, by whatever was done to the connection. */
export type Struck = { readonly goOnAt: number } | { readonly end: GrpcStatus | null };

/** Lets a fault strike. A kind that has no place here (a fork before the first block) leaves things as they are. */
export async function strike(kind: FaultKind, scene: Scene): Promise<Struck> {
  const { call, at } = scene;
  const status = STATUSES[kind];
  if (status !== undefined) return { end: status };
  switch (kind) {
    case "disconnect":
      await call.sendRaw(Buffer.from([0, 0, 0, 1, 0, 0x1a, 0x2a]));
      return broken(call);
    case "goaway":
      call.goAway(constants.NGHTTP2_ENHANCE_YOUR_CALM);
      return broken(call);
    case "stall":
      await call.gone();
      return { end: null };
    case "garbage":
      await call.sendRaw(frameOf(new Uint8Array([0x1a, 0xff, 0xff, 0xff, 0xff, 0x0f])));
      return { end: { code: GrpcCode.internal, message: "garbage" } };
    case "oversize":
      await call.sendRaw(Buffer.from([0, 0x80, 0, 0, 0]));
      await call.gone();
      return { end: null };
    case "fork":
      if (await sendFork(scene)) await sendUndo(scene, await before(scene));
      return { goOnAt: at };
    case "undo-first":
      return (await sendFork(scene)) ? broken(call) : { goOnAt: at };
    case "undo-final":
      return { goOnAt: await undoToFinal(scene) };
    default:
      return { goOnAt: at };
  }
}

/** For a cursor of a made-up block: the real one from which the fork began. Null: it is no such cursor. */
export function realCursor(cursor: string): string | null {
  return FORK_CURSOR.exec(cursor)?.[1] ?? null;
}

/** Undo signal back to a block of the recording. */
export async function undoTo(tape: Tape, block: TapeBlock): Promise<BlockUndoSignal> {
  const { clock, cursor } = await dataOf(tape, block);
  return new BlockUndoSignal({
    lastValidBlock: { id: clock?.id ?? "", number: clock?.number ?? 0n },
    lastValidCursor: cursor,
  });
}

/** What was sent must arrive before the connection breaks. */
async function broken(call: ServerCall): Promise<Struck> {
  await call.delivered();
  call.disconnect();
  await call.gone();
  return { end: null };
}

/** The block that stands right before the one that would be sent; null at the beginning. */
async function before({ tape, entries, at }: Scene): Promise<BlockUndoSignal | null> {
  const entry = entries[at - 1];
  if (entry === undefined) return null;
  return entry.kind === "undo" ? entry.signal : undoTo(tape, entry);
}

async function sendFork(scene: Scene): Promise<boolean> {
  const last = await before(scene);
  const block = scene.entries[scene.at];
  if (last === null || scene.finalOnly || block?.kind !== "block") return false;
  const real = await dataOf(scene.tape, block);
  const slot = Number(last.lastValidBlock?.number ?? 0n);
  for (let i = 0; i < FORK_BLOCKS; i++) {
    const data = real.clone();
    data.clock!.number += BigInt(i);
    data.clock!.id = `madeup${i}${data.clock!.id}`;
    data.cursor = `made-up-${i}:${last.lastValidCursor}`;
    // What is about to be undone cannot make anything final.
    data.finalBlockHeight = BigInt(Math.min(Number(real.finalBlockHeight), slot));
    await scene.call.send(dataFrame(scene.protocol, data));
  }
  return true;
}

async function sendUndo({ call }: Scene, signal: BlockUndoSignal | null): Promise<void> {
  if (signal !== null) await call.send(messageFrame({ case: "blockUndoSignal", value: signal }));
}

/** Index from which on blocks are sent again. */
async function undoToFinal(scene: Scene): Promise<number> {
  const { tape, entries, at, from, finalOnly } = scene;
  const last = entries.slice(0, at).findLast((entry) => entry.kind === "block");
  if (last === undefined || finalOnly) return at;
  const finalSlot = Number((await dataOf(tape, last)).finalBlockHeight);
  const index = entries.findLastIndex(
    (e, i) => i < at && e.kind === "block" && e.slot <= finalSlot && (e.abandonedBy === null || e.abandonedBy >= at),
  );
  const final = entries[index];
  if (final?.kind !== "block" || final.slot < from) return at;
  await sendUndo(scene, await undoTo(tape, final));
  return index + 1;
}

async function dataOf(tape: Tape, block: TapeBlock): Promise<BlockScopedData> {
  const item = await tape.read(block, block);
  return BlockScopedData.fromBinary(item.subarray(item.length - block.dataBytes));
}

function dataFrame(protocol: Protocol, data: BlockScopedData): Buffer {
  if (protocol === "v4") return messageFrame({ case: "blockScopedDatas", value: { items: [data] } });
  return messageFrame({ case: "blockScopedData", value: data }, protocol);
}
