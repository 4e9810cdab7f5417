/** One client's stream of a replay: from its request to the status that ends it. See `replay.ts` for what it is sent. */
import { Request } from "@substreams/core/proto";
import type { World } from "../world.ts";
import type { FaultPlan } from "./faults.ts";
import type { ServerCall } from "./grpc-server.ts";
import { GrpcCode, type GrpcStatus } from "./grpc-status.ts";
import { realCursor, strike, undoTo } from "./playback-faults.ts";
import { blockFrames, messageFrame } from "./replay-frames.ts";
import { PackageRequest, type Protocol } from "./rpc.ts";
import type { Tape, TapeBlock, TapeEntry, TapeUndo } from "./tape.ts";

/** What Substreams servers put into one v4 message at most; a single larger block still goes out. */
const BATCH_BLOCKS_MAX = 100;
const BATCH_BYTES_MAX = 10 * 1024 * 1024;

const OK: GrpcStatus = { code: GrpcCode.ok, message: "" };

/** A message about to be sent, for those who want to interfere. */
export interface Outgoing {
  readonly kind: "session" | "progress" | "blocks" | "undo";
  /** Number of the call, from 0, and of the message in it. */
  readonly call: number;
  readonly message: number;
  /** Slots of the blocks in it; for an undo, where it goes back to. */
  readonly slots: readonly number[];
  /** As it would go out, for those who want to send it twice or half. */
  readonly frame: Buffer;
}

/**
 * Asked before every message; may do anything to the call (delay, send bytes, end, reset, disconnect) and says whether
 * the message still goes out.
 */
export type FaultHook = (outgoing: Outgoing, call: ServerCall) => boolean | Promise<boolean>;

export interface PlaybackOptions {
  /** Per client; 0: as fast as it reads. */
  readonly blocksPerSecond: number;
  /** Between progress messages while there is nothing else to send, ms. */
  readonly progressMs: number;
  /** Ends streams without a stop block too when the recording is over. */
  readonly endAtEof: boolean;
  readonly faults?: FaultHook;
  readonly world: World;
}

/** What is asked for, whatever the version. */
interface Wish {
  readonly cursor: string;
  readonly start: number;
  /** Exclusive; null: follow. */
  readonly stop: number | null;
  readonly finalOnly: boolean;
  readonly module: string;
}

/** Where a stream begins. */
interface Cue {
  /** What is played: everything, or the final blocks. */
  readonly entries: readonly TapeEntry[];
  readonly index: number;
  /** Blocks below are left out. */
  readonly from: number;
  /** The client stands on a fork that never was: it is sent back to this block first. */
  readonly undoTo?: TapeBlock;
}

export class Playback {
  private readonly tape: Tape;
  private readonly options: PlaybackOptions;
  private readonly call: ServerCall;
  private readonly protocol: Protocol;
  private readonly number: number;
  private readonly plan: FaultPlan;
  private messages = 0;
  private blocks = 0;
  private startedAt = 0;

  constructor(
    tape: Tape,
    options: PlaybackOptions,
    plan: FaultPlan,
    call: ServerCall,
    protocol: Protocol,
    number: number,
  ) {
    this.plan = plan;
    this.tape = tape;
    this.options = options;
    this.call = call;
    this.protocol = protocol;
    this.number = number;
  }

  /** Plays until the end, or until the client is gone; null: the call needs no status any more. */
  async run(): Promise<GrpcStatus | null> {
    const wish = readWish(this.call.request, this.protocol);
    if (wish === null) return invalid("the request cannot be decoded");
    if (this.tape.module !== "" && wish.module !== this.tape.module) {
      return invalid(`module "${wish.module}" is not recorded here, "${this.tape.module}" is`);
    }
    const cue = findCue(this.tape, wish, this.plan.takeRepeat());
    if ("code" in cue) return cue;
    this.startedAt = this.options.world.monotonic();
    await this.sendSession(cue);
    if (cue.undoTo !== undefined) {
      const signal = await undoTo(this.tape, cue.undoTo);
      await this.sendUndo({ kind: "undo", slot: cue.undoTo.slot, cursor: signal.lastValidCursor, signal });
    }
    return this.play(cue, wish);
  }

  /** Null: a fault has ended the call in its own way. */
  private async play({ entries, index, from }: Cue, { stop, finalOnly }: Wish): Promise<GrpcStatus | null> {
    for (let at = index; !this.call.signal.aborted; ) {
      const entry = entries[at];
      if (entry === undefined) return this.atEof(stop);
      if (entry.kind === "undo") {
        await this.sendUndo(entry);
        at++;
      } else if (entry.slot < from) {
        at++;
      } else if (stop !== null && entry.slot >= stop) {
        return OK;
      } else {
        const due = await this.waitForTurn();
        const fault = this.plan.take(entry.slot);
        if (fault !== null) {
          const { tape, call, protocol } = this;
          const struck = await strike(fault, { tape, call, protocol, entries, at, from, finalOnly });
          if ("end" in struck) return struck.end;
          at = struck.goOnAt;
          continue;
        }
        const batch = takeBatch(entries, at, { from, stop, blocks: due, below: this.plan.quietBelow });
        await this.sendBlocks(batch, finalOnly);
        at += batch.length;
      }
    }
    return OK;
  }

  /** Says how many blocks may go out now, at least one; sends progress meanwhile. */
  private async waitForTurn(): Promise<number> {
    const { world, blocksPerSecond, progressMs } = this.options;
    if (blocksPerSecond === 0) return BATCH_BLOCKS_MAX;
    for (;;) {
      const elapsedMs = world.monotonic() - this.startedAt;
      const due = Math.floor((elapsedMs * blocksPerSecond) / 1000) + 1 - this.blocks;
      if (due >= 1 || this.call.signal.aborted) return Math.max(1, Math.min(due, BATCH_BLOCKS_MAX));
      const restMs = (this.blocks * 1000) / blocksPerSecond - elapsedMs;
      await this.pause(Math.min(restMs, progressMs));
      if (restMs > progressMs) await this.sendProgress();
    }
  }

  private async atEof(stop: number | null): Promise<GrpcStatus> {
    if (stop !== null || this.options.endAtEof) return OK;
    while (!this.call.signal.aborted) {
      await this.pause(this.options.progressMs);
      await this.sendProgress();
    }
    return OK;
  }

  private async pause(ms: number): Promise<void> {
    try {
      await this.options.world.sleep(ms, this.call.signal);
    } catch (error) {
      if (!this.call.signal.aborted) throw error;
    }
  }

  private async sendSession({ entries, index }: Cue): Promise<void> {
    const { first, last } = this.tape.range;
    const frame = messageFrame({
      case: "session",
      value: {
        traceId: `replay-${this.number}`,
        resolvedStartBlock: BigInt(entries[index]?.slot ?? last),
        linearHandoffBlock: BigInt(first),
        maxParallelWorkers: 1n,
        chainHead: BigInt(last),
      },
    });
    await this.send("session", [], [frame]);
  }

  private async sendProgress(): Promise<void> {
    const { first, last } = this.tape.range;
    const completedRanges = [{ startBlock: BigInt(first), endBlock: BigInt(last) }];
    const value = {
      stages: [{ modules: [this.tape.module], completedRanges, readyUpToExclusive: BigInt(last + 1) }],
      processedBlocks: BigInt(this.blocks),
    };
    await this.send("progress", [], [messageFrame({ case: "progress", value })]);
  }

  private async sendUndo({ slot, signal }: TapeUndo): Promise<void> {
    await this.send("undo", [slot], [messageFrame({ case: "blockUndoSignal", value: signal })]);
  }

  private async sendBlocks(batch: readonly TapeBlock[], asFinal: boolean): Promise<void> {
    const bytes = await this.tape.read(batch[0]!, batch.at(-1)!);
    const frames = blockFrames(this.protocol, bytes, batch, asFinal);
    const slots = batch.map((block) => block.slot);
    this.blocks += batch.length;
    await this.send("blocks", slots, frames);
  }

  /** All frames are of one kind; when there are several, they hold one slot each. */
  private async send(kind: Outgoing["kind"], slots: readonly number[], frames: readonly Buffer[]): Promise<void> {
    const { faults } = this.options;
    for (const [i, frame] of frames.entries()) {
      const message = this.messages++;
      const own = frames.length === 1 ? slots : slots.slice(i, i + 1);
      const outgoing = { kind, call: this.number, message, slots: own, frame };
      const goes = faults === undefined || (await faults(outgoing, this.call));
      if (goes) await this.call.send(frame);
    }
  }
}

function readWish(request: Uint8Array, protocol: Protocol): Wish | null {
  try {
    const asked = protocol === "v2" ? Request.fromBinary(request) : PackageRequest.fromBinary(request);
    return {
      cursor: asked.startCursor,
      start: Number(asked.startBlockNum),
      stop: asked.stopBlockNum === 0n ? null : Number(asked.stopBlockNum),
      finalOnly: asked.finalBlocksOnly,
      module: asked.outputModule,
    };
  } catch (error) {
    if (error instanceof Error) return null;
    throw error;
  }
}

/** Where to begin, or why not. */
function findCue(tape: Tape, wish: Wish, repeat: boolean): Cue | GrpcStatus {
  const entries = wish.finalOnly ? tape.finals : tape.entries;
  if (wish.cursor === "") {
    const { first, last } = tape.range;
    const from = wish.start < 0 ? Math.max(first, last + wish.start) : wish.start;
    const index = entries.findIndex((entry) => entry.kind === "block" && entry.slot >= from);
    return { entries, index: index === -1 ? entries.length : index, from };
  }
  const real = realCursor(wish.cursor);
  const found = tape.find(real ?? wish.cursor);
  if (found === null) return invalid("the cursor is unknown to this recording");
  const entry = tape.entries[found]!;
  const abandonedBy = entry.kind === "block" ? entry.abandonedBy : null;
  if (!wish.finalOnly) {
    const index = abandonedBy ?? found + 1;
    if (real === null) return { entries, index: repeat && index === found + 1 ? found : index, from: 0 };
    const block = tape.entries.slice(0, found + 1).findLast((e) => e.kind === "block" && e.cursor === real);
    return { entries, index, from: 0, ...(block?.kind === "block" ? { undoTo: block } : {}) };
  }
  if (abandonedBy !== null) return invalid("the cursor's block was taken back; final blocks cannot say so");
  const index = entries.findIndex((block) => block.slot > entry.slot);
  const next = index === -1 ? entries.length : index;
  return { entries, index: repeat && next > 0 ? next - 1 : next, from: 0 };
}

/** Blocks from `at` on, as many as go into one message and are due. They lie close together on the tape. */
function takeBatch(
  entries: readonly TapeEntry[],
  at: number,
  limits: { from: number; stop: number | null; blocks: number; below: number },
): TapeBlock[] {
  const batch: TapeBlock[] = [];
  for (let i = at; i < entries.length && batch.length < limits.blocks; i++) {
    const entry = entries[i]!;
    if (entry.kind === "undo" || entry.slot < limits.from) break;
    if (limits.stop !== null && entry.slot >= limits.stop) break;
    if (entry.slot >= limits.below && batch.length > 0) break;
    const [first] = batch;
    if (first !== undefined && entry.offset + entry.itemBytes - first.offset > BATCH_BYTES_MAX) break;
    batch.push(entry);
  }
  return batch;
}

function invalid(message: string): GrpcStatus {
  return { code: GrpcCode.invalidArgument, message };
}
