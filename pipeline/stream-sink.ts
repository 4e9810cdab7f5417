/**
 * A JetStream stream as a sink: the position is in the header of its last message, the compare-and-set is the stream's
 * last sequence. With several subjects (lanes) one commit is one atomic batch: a message for each, empty ones too, so
 * that every lane knows undo, finality and the chain.
 */
import type { Head, Sink, Step } from "../storage/sink.ts";
import type { StoredHeader, StreamState, Streams } from "./broker.ts";
import { afterData, afterUndo, type ChainState, EMPTY_CHAIN, type Link, undoesFinal } from "./chain.ts";
import { Fatal, Fenced, Poison, Transient } from "./errors.ts";
import { formatBlock, type Position, sameBlock } from "./position.ts";
import { linkOf } from "./reader.ts";
import type { Signal } from "./wire/batch.ts";
import { type BodyCodec, encodeMessage } from "./wire/message.ts";
import type { World } from "./world.ts";

/** How long to wait before a refused publish is tried again, ms. */
const FULL_RETRY_MS = 200;

export interface StreamSinkOptions<Out, Body> {
  readonly broker: Streams;
  readonly stream: string;
  /** One message a commit goes to each of these, in this order. */
  readonly subjects: readonly string[];
  readonly codec: BodyCodec<Body>;
  /** The body for each subject. */
  readonly split: (out: Out) => readonly Body[];
  readonly world: World;
  /** Aborts waiting for room in a full stream. */
  readonly signal: AbortSignal;
  /** Tells that the stream is full (true) or has room again (false). */
  readonly onBlocked?: (blocked: boolean) => void;
}

export class StreamSink<Out, Body> implements Sink<Out> {
  readonly name: string;
  private readonly o: StreamSinkOptions<Out, Body>;
  /** Null until opened. */
  private lastSeq: number | null = null;
  /** The chain as the stream tells it. */
  private chain: ChainState = EMPTY_CHAIN;

  constructor(options: StreamSinkOptions<Out, Body>) {
    this.o = options;
    this.name = options.stream;
  }

  async open(): Promise<Head | null> {
    const state = await this.o.broker.streamState(this.name);
    if (state === null) {
      throw new Transient("STREAM_MISSING", "the stream is gone", { where: this.name, hint: "It will be made again." });
    }
    const last = state.messages === 0 ? null : await this.lastHeader(state);
    this.chain = last === null ? EMPTY_CHAIN : await this.readBack(last, state.firstSeq);
    this.lastSeq = state.lastSeq;
    const { position, finalSlot, recent } = this.chain;
    if (last === null || position === null) return null;
    return { position, finalSlot, recent, inputSeq: last.header.input, complete: last.header.kind === "end" };
  }

  async commit(step: Step, out: Out): Promise<Position> {
    const bodies = this.o.split(out);
    await this.publish(step, (subject) => ({ ...this.chainOf(step), kind: "data", body: bodies[subject]! }));
    return step.next;
  }

  async rollback(step: Step): Promise<void> {
    if (sameBlock(step.next, this.chain.position)) return;
    if (undoesFinal(this.chain, step.next)) {
      throw new Fatal("STREAM_UNDO_FINAL", `asked to take back what is final, to ${formatBlock(step.next)}`, {
        where: this.name,
        hint: "Finality was broken upstream. Nothing was written.",
      });
    }
    await this.publish(step, () => ({ ...this.chainOf(step), kind: "undo" }));
  }

  async end(step: Step): Promise<void> {
    await this.publish(step, () => ({ ...this.chainOf(step), kind: "end" }));
  }

  async close(): Promise<void> {
    // Nothing is held open: the connection belongs to the broker.
  }

  private chainOf(step: Step): { prev: Position | null; next: Position; finalSlot: number } {
    return { prev: step.prev, next: step.next, finalSlot: Math.max(step.finalSlot, this.chain.finalSlot) };
  }

  private async publish(step: Step, signalFor: (subject: number) => Signal<Body>): Promise<void> {
    if (this.lastSeq === null) throw new Fatal("STREAM_NOT_OPEN", "the stream was not opened", { where: this.name });
    const { position } = this.chain;
    if (position !== null && !sameBlock(step.prev, position)) {
      throw new Fenced(
        "STREAM_POSITION",
        `the stream stands at ${formatBlock(position)}, not at ${formatBlock(step.prev)}`,
        { where: this.name },
      );
    }
    const messages = this.o.subjects.map((subject, i) => ({
      subject,
      ...encodeMessage(signalFor(i), this.o.codec, step.inputSeq),
    }));
    this.lastSeq = await this.publishWhenRoom(messages, this.lastSeq);
    this.chain = follow(this.chain, linkOf(messages[0]!.header));
  }

  /** A full stream refuses and stores nothing: waiting here is the back-pressure. */
  private async publishWhenRoom(messages: Parameters<Streams["publish"]>[1], lastSeq: number): Promise<number> {
    for (let blocked = false; ; blocked = true) {
      try {
        const seq = await this.o.broker.publish(this.name, messages, lastSeq);
        if (blocked) this.o.onBlocked?.(false);
        return seq;
      } catch (error) {
        if (!(error instanceof Transient) || error.code !== "STREAM_FULL") throw error;
        if (!blocked) this.o.onBlocked?.(true);
        await this.o.world.sleep(FULL_RETRY_MS, this.o.signal);
      }
    }
  }

  /**
   * Header of the last batch that is whole and readable. The last subject comes last in every batch: what it has not got,
   * a stream that was cut short has not got. What follows a damaged message is published again; its readers ask for more.
   */
  private async lastHeader({ firstSeq, lastSeq }: StreamState): Promise<StoredHeader | null> {
    const subject = this.o.subjects.at(-1)!;
    const last = await this.readable({ lastOn: subject });
    if (last !== "damaged") return last;
    for (let seq = lastSeq; seq >= firstSeq; seq--) {
      const stored = await this.readable({ seq });
      if (stored !== null && stored !== "damaged" && stored.subject === subject) return stored;
    }
    return null;
  }

  private async readable(at: { seq: number } | { lastOn: string }): Promise<StoredHeader | null | "damaged"> {
    try {
      return await this.o.broker.header(this.name, at);
    } catch (error) {
      if (error instanceof Poison) return "damaged";
      throw error;
    }
  }

  /**
   * The chain down to the first final block, read back from headers; undos in between are followed. What does not lead to
   * the message after it is left out: a repeat of it (chunks and other lanes say the same), or the late word of a writer
   * from before the stream was lost, which hit upon the expected sequence.
   */
  private async readBack(last: StoredHeader, firstSeq: number): Promise<ChainState> {
    const headers: StoredHeader[] = [last];
    for (let seq = last.seq - 1; seq >= firstSeq; seq--) {
      const stored = await this.readable({ seq });
      if (stored === null || stored === "damaged") break;
      const leadsOn = sameBlock(stored.header.next, headers.at(-1)!.header.prev);
      if (stored.subject !== last.subject || !leadsOn) continue;
      headers.push(stored);
      if (stored.header.kind === "data" && stored.header.next.slot <= last.header.final) break;
    }
    const prev = headers.at(-1)!.header.prev;
    const start = prev === null ? EMPTY_CHAIN : { position: prev, finalSlot: 0, recent: [prev] };
    return headers.reduceRight((chain, { header }) => follow(chain, linkOf(header)), start);
  }
}

/** The chain after a message of our own. */
function follow(chain: ChainState, link: Link): ChainState {
  if (link.kind === "undo") return afterUndo(chain, link.next, link.finalSlot);
  return afterData(chain, link.next, link.finalSlot, link.blocks);
}
