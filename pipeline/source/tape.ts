/**
 * A recording laid out for replay: an index in memory, the blocks in a scratch file.
 *
 * A recording can only be read from its start, and a replay must begin anywhere, again and again, for several clients. So
 * it is decompressed once, into a file that has no name any more when `open` returns and vanishes with the process. In
 * memory are some hundred bytes per block. Blocks are stored as items of a v4 batch (field 1 of `BlockScopedDatas`), so
 * that any run of them can be sent as it lies there.
 */
import { type FileHandle, mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { BlockScopedData, BlockUndoSignal } from "@substreams/core/proto";
import { Fatal, SluiceError } from "../errors.ts";
import { VarintPrefix, varintSize, writeVarint } from "./framing.ts";
import { decodeResponse, readRecording } from "./recording.ts";

/** Tags of `items` in `BlockScopedDatas`, and of `block_scoped_data` in `Response`. */
const ITEM_TAG = 0x0a;
const BLOCK_TAG = 0x1a;

export interface TapeBlock {
  readonly kind: "block";
  readonly slot: number;
  readonly cursor: string;
  /** Where its item begins in the scratch file: tag, length, encoded `BlockScopedData`. */
  readonly offset: number;
  readonly itemBytes: number;
  /** Bytes of the encoded `BlockScopedData` itself, at the end of the item. */
  readonly dataBytes: number;
  /** The undo that takes this block back, if one does. */
  abandonedBy: number | null;
}

export interface TapeUndo {
  readonly kind: "undo";
  readonly slot: number;
  readonly cursor: string;
  readonly signal: BlockUndoSignal;
}

export type TapeEntry = TapeBlock | TapeUndo;

export class Tape {
  /** Blocks and undo signals as recorded; session and progress messages are left out, a replay makes its own. */
  readonly entries: readonly TapeEntry[];
  /** Blocks that were final at the end of the recording, ascending. */
  readonly finals: readonly TapeBlock[];
  /** Name of the module whose output it holds; empty when no block says. */
  readonly module: string;
  /** Lowest and highest slot; 0 when there are no blocks. */
  readonly range: { readonly first: number; readonly last: number };
  private readonly file: FileHandle;
  /** The last entry after which a client holds this cursor. */
  private readonly byCursor: ReadonlyMap<string, number>;

  private constructor(file: FileHandle, draft: Draft) {
    this.file = file;
    this.entries = draft.entries;
    this.module = draft.module;
    this.range = rangeOf(draft.entries);
    this.byCursor = new Map(draft.entries.map((entry, i) => [entry.cursor, i]));
    this.finals = draft.standing.filter((block) => block.slot <= draft.finalSlot);
  }

  /** Reads the recording through. Throws what `readRecording` throws, and `Fatal` RECORDING_CORRUPT or REPLAY_SCRATCH. */
  static async open(recording: string, scratchFolder: string = tmpdir()): Promise<Tape> {
    const file = await openNameless(scratchFolder);
    try {
      const draft = new Draft(recording, file);
      for await (const bytes of readRecording(recording)) await draft.add(bytes);
      await draft.flush();
      return new Tape(file, draft);
    } catch (error) {
      await file.close();
      throw error instanceof SluiceError ? error : scratchError(scratchFolder, error);
    }
  }

  /** Index of the last entry that leaves a client with this cursor. */
  find(cursor: string): number | null {
    return this.byCursor.get(cursor) ?? null;
  }

  /** The items from the first block's to the last one's, as they lie in the file. */
  async read(first: TapeBlock, last: TapeBlock): Promise<Buffer> {
    const length = last.offset + last.itemBytes - first.offset;
    const buffer = Buffer.allocUnsafe(length);
    let filled = 0;
    while (filled < length) {
      const { bytesRead } = await this.file.read(buffer, filled, length - filled, first.offset + filled);
      if (bytesRead === 0) throw new Fatal("REPLAY_SCRATCH", "the scratch file has been cut short");
      filled += bytesRead;
    }
    return buffer;
  }

  close(): Promise<void> {
    return this.file.close();
  }
}

function rangeOf(entries: readonly TapeEntry[]): { first: number; last: number } {
  let first = Number.POSITIVE_INFINITY;
  let last = 0;
  for (const entry of entries) {
    if (entry.kind !== "block") continue;
    first = Math.min(first, entry.slot);
    last = Math.max(last, entry.slot);
  }
  return { first: Math.min(first, last), last };
}

/** A file that is gone as soon as it is closed, or its process is. */
async function openNameless(folder: string): Promise<FileHandle> {
  let own: string | null = null;
  try {
    own = await mkdtemp(join(folder, "replay-"));
    return await open(join(own, "blocks"), "w+");
  } catch (error) {
    throw scratchError(folder, error);
  } finally {
    if (own !== null) await rm(own, { recursive: true, force: true });
  }
}

function scratchError(folder: string, cause: unknown): Fatal {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new Fatal("REPLAY_SCRATCH", `the recording cannot be unpacked: ${reason}`, {
    where: folder,
    hint: "A replay needs a folder with room for the uncompressed blocks. TMPDIR names another one.",
    cause,
  });
}

/** A tape being laid out. */
class Draft {
  readonly entries: TapeEntry[] = [];
  /** Blocks that no undo has taken back, ascending. */
  readonly standing: TapeBlock[] = [];
  finalSlot = 0;
  module = "";
  private readonly where: string;
  private readonly file: FileHandle;
  private offset = 0;
  private pending: Uint8Array[] = [];
  private pendingBytes = 0;

  constructor(where: string, file: FileHandle) {
    this.where = where;
    this.file = file;
  }

  async add(bytes: Uint8Array): Promise<void> {
    const { message } = decodeResponse(bytes, this.where, this.entries.length);
    if (message.case === "blockScopedData") await this.block(message.value, bytes);
    else if (message.case === "blockUndoSignal") this.undo(message.value);
  }

  private async block(data: BlockScopedData, message: Uint8Array): Promise<void> {
    const slot = Number(data.clock?.number ?? -1);
    const top = this.standing.at(-1);
    if (!Number.isSafeInteger(slot) || slot < 0 || data.cursor === "")
      throw this.corrupt("a block has no slot or cursor");
    if (top !== undefined && slot <= top.slot) throw this.corrupt(`block ${slot} follows ${top.slot} without an undo`);
    const bytes = onlyField(message) ?? data.toBinary();
    const head = new Uint8Array(1 + varintSize(bytes.length));
    head[0] = ITEM_TAG;
    writeVarint(bytes.length, head, 1);
    const block: TapeBlock = {
      kind: "block",
      slot,
      cursor: data.cursor,
      offset: this.offset,
      itemBytes: head.length + bytes.length,
      dataBytes: bytes.length,
      abandonedBy: null,
    };
    this.entries.push(block);
    this.standing.push(block);
    this.finalSlot = Math.max(this.finalSlot, Number(data.finalBlockHeight));
    this.module ||= data.output?.name ?? "";
    this.offset += block.itemBytes;
    this.pending.push(head, bytes);
    this.pendingBytes += block.itemBytes;
    if (this.pendingBytes >= 1024 * 1024) await this.flush();
  }

  private undo(signal: BlockUndoSignal): void {
    const slot = Number(signal.lastValidBlock?.number ?? -1);
    if (!Number.isSafeInteger(slot) || slot < 0) throw this.corrupt("an undo signal has no slot");
    while ((this.standing.at(-1)?.slot ?? -1) > slot) this.standing.pop()!.abandonedBy = this.entries.length;
    this.entries.push({ kind: "undo", slot, cursor: signal.lastValidCursor, signal });
  }

  async flush(): Promise<void> {
    const bytes = Buffer.concat(this.pending);
    this.pending = [];
    this.pendingBytes = 0;
    for (let at = 0; at < bytes.length; ) at += (await this.file.write(bytes, at)).bytesWritten;
  }

  private corrupt(what: string): Fatal {
    return new Fatal("RECORDING_CORRUPT", `${what} (entry ${this.entries.length})`, {
      where: this.where,
      hint: "Blocks of a recording ascend, except after an undo signal, and carry a clock and a cursor.",
    });
  }
}

/** Content of the only field of `message`, as it lies there; null when it is not that simple. */
function onlyField(message: Uint8Array): Uint8Array | null {
  const length = new VarintPrefix();
  for (let at = 1; at < message.length; at++) {
    const bytes = length.take(message[at]!);
    if (bytes !== null)
      return message[0] === BLOCK_TAG && at + 1 + bytes === message.length ? message.subarray(at + 1) : null;
  }
  return null;
}
