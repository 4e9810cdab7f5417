/**
 * Records what a source streams. Until it is complete a recording is `<path>.part`: whole zstd frames, one a checkpoint, so
 * that a crash loses no more than what came since the last; whoever resumes cuts off the rest and goes on from the cursor
 * of the last message. A recording that was stopped on request is complete as far as it goes, and can be resumed as well.
 */
import { createReadStream, createWriteStream, existsSync, type WriteStream } from "node:fs";
import { open, rename, rm, stat, truncate } from "node:fs/promises";
import { dirname } from "node:path";
import { Fatal, Transient } from "../errors.ts";
import { type BlockRef, formatBlock, type Position } from "../position.ts";
import type { World } from "../world.ts";
import { RecordingWriter, readResponses } from "./recording.ts";
import { responseType, type SignalMessage } from "./rpc.ts";
import type { BlockSignal, Source } from "./source.ts";
import { ZstdFrames } from "./zstd-frames.ts";

/** A checkpoint is made after so many raw bytes, or so much time when they come slowly. */
const CHECKPOINT_BYTES = 64 * 1024 * 1024;
const CHECKPOINT_MS = 30_000;
/** Blocks that are remembered to tell one that is sent again from a fork. */
const RECENT_MAX = 2_000;

export interface RecorderOptions {
  /** Of the finished recording. */
  readonly path: string;
  /** Goes on where an earlier recording of this name ended; without one, begins. */
  readonly resume: boolean;
  /** Stops after the block with which the file has so many bytes; null: no limit. */
  readonly maxBytes: number | null;
  /** Stops after so many blocks, those of earlier runs included; null: no limit. */
  readonly maxBlocks: number | null;
  readonly checkpointBytes?: number;
  readonly world: World;
  readonly onProgress?: (progress: Recorded) => void;
}

/** What a recording holds, those of earlier runs included. */
export interface Recorded {
  /** Blocks received, also those that an undo took back later. */
  readonly blocks: number;
  readonly undos: number;
  /** First slot, and the slot it stands at; null before the first block. */
  readonly firstSlot: number | null;
  readonly lastSlot: number | null;
  /** Bytes on disk; messages that wait to be compressed are not in it. */
  readonly fileBytes: number;
}

/** Why it ended: the range is complete, a limit is reached, or it was asked to. */
export type RecordingEnd = "range" | "bytes" | "blocks" | "stopped";

/** A source, and the message behind the signal that it gave out last. */
export interface Tapped {
  readonly source: Source;
  readonly message: () => SignalMessage;
}

/** True when there is a recording of this name, or the beginning of one. */
export function recordingExists(path: string): boolean {
  return existsSync(path) || existsSync(partOf(path));
}

/**
 * Records until the source ends, a limit is reached or `signal` aborts. Throws what the source throws, after a checkpoint;
 * `Fatal` RECORDING_CORRUPT or RECORDING_MODULE when what is resumed cannot be continued, `Transient` RECORDING_WRITE.
 */
export async function record(
  { source, message }: Tapped,
  options: RecorderOptions,
  signal: AbortSignal,
): Promise<Recorded & { readonly end: RecordingEnd }> {
  const recorder = new Recorder(options);
  const from = await recorder.open(source.moduleHash);
  const done = new AbortController();
  let end: RecordingEnd = "stopped";
  try {
    const limit = recorder.limitReached();
    for await (const item of limit === null ? source.blocks(from, AbortSignal.any([signal, done.signal])) : []) {
      if (item.kind === "end") end = "range";
      else await recorder.take(item, message);
      const reached = recorder.limitReached();
      if (reached === null) continue;
      end = reached;
      break;
    }
    if (limit !== null) end = limit;
  } catch (error) {
    await recorder.checkpoint().catch(() => undefined); // the source's error is the one to tell
    throw error;
  } finally {
    done.abort();
  }
  await recorder.finish();
  return { ...recorder.recorded(), end };
}

function partOf(path: string): string {
  return `${path}.part`;
}

class Recorder {
  private readonly o: RecorderOptions;
  private readonly part: string;
  private frame: { writer: RecordingWriter; file: WriteStream; rawBytes: number; since: number } | null = null;
  private fileBytes = 0;
  private blocks = 0;
  private undos = 0;
  private firstSlot: number | null = null;
  private last: BlockRef | null = null;
  private cursor = "";
  private module = "";
  /** Hashes of the newest standing blocks, by slot. */
  private readonly recent = new Map<number, string>();

  constructor(options: RecorderOptions) {
    this.o = options;
    this.part = partOf(options.path);
  }

  /** Where to go on; null: from the start. */
  async open(moduleHash: string): Promise<Position | null> {
    const { path, resume } = this.o;
    if (!resume) await rm(this.part, { force: true });
    else if (!existsSync(this.part) && existsSync(path)) await rename(path, this.part);
    if (!existsSync(this.part)) return null;
    this.fileBytes = await cutToWholeFrames(this.part);
    if (this.fileBytes === 0) return null;
    for await (const { message } of readResponses(this.part)) {
      if (message.case === "blockScopedData") {
        const { clock, output, cursor } = message.value;
        this.module ||= output?.name ?? "";
        this.noteBlock({ slot: Number(clock?.number), hash: clock?.id ?? "" }, cursor);
      } else if (message.case === "blockUndoSignal") {
        const { lastValidBlock, lastValidCursor } = message.value;
        this.noteUndo({ slot: Number(lastValidBlock?.number), hash: lastValidBlock?.id ?? "" }, lastValidCursor);
      }
    }
    return this.last === null ? null : { ...this.last, cursor: this.cursor, moduleHash };
  }

  async take(item: Exclude<BlockSignal, { kind: "end" }>, message: () => SignalMessage): Promise<void> {
    if (item.kind === "block") {
      if (this.isRepeat(item.block)) return;
      this.mustBeSameModule(message());
      this.noteBlock({ slot: item.block.slot, hash: item.block.hash }, item.block.cursor);
    } else this.noteUndo({ slot: item.to.slot, hash: item.to.hash }, item.to.cursor);
    await this.write(message());
    this.o.onProgress?.(this.recorded());
  }

  limitReached(): RecordingEnd | null {
    const { maxBytes, maxBlocks } = this.o;
    if (maxBlocks !== null && this.blocks >= maxBlocks) return "blocks";
    return maxBytes !== null && this.recorded().fileBytes >= maxBytes ? "bytes" : null;
  }

  recorded(): Recorded {
    const { blocks, undos, firstSlot, last } = this;
    const fileBytes = this.fileBytes + (this.frame?.file.bytesWritten ?? 0);
    return { blocks, undos, firstSlot, lastSlot: last?.slot ?? null, fileBytes };
  }

  /** Completes the frame: what came so far is safe. */
  async checkpoint(): Promise<void> {
    const { frame } = this;
    if (frame === null) return;
    this.frame = null;
    await frame.writer.finish();
    await sync(this.part);
    this.fileBytes = (await stat(this.part)).size;
  }

  async finish(): Promise<void> {
    // A recording without a message is one as well: a frame of nothing.
    if (this.frame === null && this.fileBytes === 0) this.frame = this.newFrame();
    await this.checkpoint();
    await rename(this.part, this.o.path);
    await sync(dirname(this.o.path));
  }

  private async write(message: SignalMessage): Promise<void> {
    this.frame ??= this.newFrame();
    const Response = responseType("v2");
    const bytes = new Response({ message }).toBinary();
    await this.frame.writer.append(bytes);
    this.frame.rawBytes += bytes.length;
    const old = this.o.world.monotonic() - this.frame.since >= CHECKPOINT_MS;
    if (old || this.frame.rawBytes >= (this.o.checkpointBytes ?? CHECKPOINT_BYTES)) await this.checkpoint();
  }

  private newFrame() {
    const file = createWriteStream(this.part, { flags: "a" });
    return { writer: RecordingWriter.to(file), file, rawBytes: 0, since: this.o.world.monotonic() };
  }

  private noteBlock({ slot, hash }: BlockRef, cursor: string): void {
    this.blocks++;
    this.firstSlot ??= slot;
    this.last = { slot, hash };
    this.cursor = cursor;
    this.recent.set(slot, hash);
    if (this.recent.size > RECENT_MAX) this.recent.delete(this.recent.keys().next().value!);
  }

  private noteUndo({ slot, hash }: BlockRef, cursor: string): void {
    this.undos++;
    this.last = { slot, hash };
    this.cursor = cursor;
    for (const known of [...this.recent.keys()]) if (known > slot) this.recent.delete(known);
  }

  /** Some servers send blocks at or below the cursor again. */
  private isRepeat(block: BlockRef): boolean {
    if (this.last === null || block.slot > this.last.slot) return false;
    if (this.recent.get(block.slot) === block.hash) return true;
    throw new Transient(
      "SOURCE_ORDER",
      `the source sent block ${formatBlock(block)} after ${formatBlock(this.last)} without an undo`,
      { hint: "Record again with --resume." },
    );
  }

  private mustBeSameModule(message: SignalMessage): void {
    const name = message.case === "blockScopedData" ? (message.value.output?.name ?? "") : "";
    if (this.module === "" || name === "" || name === this.module) {
      this.module ||= name;
      return;
    }
    throw new Fatal("RECORDING_MODULE", `the recording holds module "${this.module}", the source streams "${name}"`, {
      where: this.o.path,
      hint: "Resume with the package and module that it was begun with, or record to another file.",
    });
  }
}

/** Cuts off what a crash left behind the last whole frame; gives the bytes that stay. */
async function cutToWholeFrames(path: string): Promise<number> {
  const frames = new ZstdFrames();
  for await (const chunk of createReadStream(path)) frames.push(chunk as Uint8Array);
  await truncate(path, frames.wholeBytes);
  return frames.wholeBytes;
}

async function sync(path: string): Promise<void> {
  const handle = await open(path, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
