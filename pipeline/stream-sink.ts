/**
 * A JetStream stream as a sink: the position is in the header of its last message, the compare-and-set is the stream's
 * last sequence. With several subjects (lanes) one commit is one atomic batch: a message for each, empty ones too, so
 * that every lane knows undo, finality and the chain.
 */
import type { Head, Sink, Step } from "../storage/sink.ts";
import type { StoredHeader, Streams } from "./broker.ts";
import { afterData, afterUndo, type ChainState, EMPTY_CHAIN } from "./chain.ts";
import { Fenced, Transient } from "./errors.ts";
import { type Position, sameBlock } from "./position.ts";
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
  private lastSeq = 0;
  private position: Position | null = null;
  private finalSlot = 0;

  constructor(options: StreamSinkOptions<Out, Body>) {
    this.o = options;
    this.name = options.stream;
  }

  async open(): Promise<Head | null> {
    const state = await this.o.broker.streamState(this.name);
    if (state === null) {
      throw new Transient("STREAM_MISSING", "the stream is gone", { where: this.name, hint: "It will be made again." });
    }
    this.lastSeq = state.lastSeq;
    this.position = null;
    this.finalSlot = 0;
    const last = state.messages === 0 ? null : await this.o.broker.header(this.name, { lastOn: this.o.subjects[0]! });
    if (last === null) return null;
    const recent = await this.recentBlocks(last, state.firstSeq);
    this.position = last.header.next;
    this.finalSlot = last.header.final;
    const { input: inputSeq, kind } = last.header;
    return { position: this.position, finalSlot: this.finalSlot, recent, inputSeq, complete: kind === "end" };
  }

  async commit(step: Step, out: Out): Promise<Position> {
    const bodies = this.o.split(out);
    await this.publish(step, (subject) => ({ ...this.chainOf(step), kind: "data", body: bodies[subject]! }));
    return step.next;
  }

  async rollback(step: Step): Promise<void> {
    if (sameBlock(step.next, this.position)) return;
    await this.publish(step, () => ({ ...this.chainOf(step), kind: "undo" }));
  }

  async end(step: Step): Promise<void> {
    await this.publish(step, () => ({ ...this.chainOf(step), kind: "end" }));
  }

  async close(): Promise<void> {
    // Nothing is held open: the connection belongs to the broker.
  }

  private chainOf(step: Step): { prev: Position | null; next: Position; finalSlot: number } {
    return { prev: step.prev, next: step.next, finalSlot: Math.max(step.finalSlot, this.finalSlot) };
  }

  private async publish(step: Step, signalFor: (subject: number) => Signal<Body>): Promise<void> {
    if (this.position !== null && !sameBlock(step.prev, this.position)) {
      throw new Fenced(
        "STREAM_POSITION",
        `the stream stands at slot ${this.position.slot}, not at ${step.prev?.slot}`,
        {
          where: this.name,
        },
      );
    }
    const messages = this.o.subjects.map((subject, i) => ({
      subject,
      ...encodeMessage(signalFor(i), this.o.codec, step.inputSeq),
    }));
    this.lastSeq = await this.publishWhenRoom(messages);
    this.position = step.next;
    this.finalSlot = Math.max(step.finalSlot, this.finalSlot);
  }

  /** A full stream refuses and stores nothing: waiting here is the back-pressure. */
  private async publishWhenRoom(messages: Parameters<Streams["publish"]>[1]): Promise<number> {
    for (let blocked = false; ; blocked = true) {
      try {
        const seq = await this.o.broker.publish(this.name, messages, this.lastSeq);
        if (blocked) this.o.onBlocked?.(false);
        return seq;
      } catch (error) {
        if (!(error instanceof Transient) || error.code !== "STREAM_FULL") throw error;
        if (!blocked) this.o.onBlocked?.(true);
        await this.o.world.sleep(FULL_RETRY_MS, this.o.signal);
      }
    }
  }

  /** Blocks above the final slot and the first below it, read back from headers; undos in between are followed. */
  private async recentBlocks(last: StoredHeader, firstSeq: number): Promise<ChainState["recent"]> {
    const subject = this.o.subjects[0]!;
    const headers: StoredHeader[] = [last];
    for (let seq = last.seq - 1; seq >= firstSeq; seq--) {
      const stored = await this.o.broker.header(this.name, { seq });
      if (stored === null) break;
      // Chunks of one message repeat its header; other lanes say the same of the chain.
      const newer = headers.at(-1)!;
      if (stored.subject !== subject || sameLink(stored, newer)) continue;
      headers.push(stored);
      if (stored.header.kind === "data" && stored.header.next.slot <= last.header.final) break;
    }
    let chain: ChainState = EMPTY_CHAIN;
    for (const { header } of headers.reverse()) {
      const link = linkOf(header);
      if (link.kind === "data") chain = afterData(chain, link.next, link.finalSlot, link.blocks);
      else if (link.kind === "undo") chain = afterUndo(chain, link.next, link.finalSlot);
    }
    return chain.recent;
  }
}

function sameLink(a: StoredHeader, b: StoredHeader): boolean {
  const [x, y] = [a.header, b.header];
  return (
    x.kind === y.kind &&
    x.input === y.input &&
    sameBlock(x.prev, y.prev) &&
    sameBlock(x.next, y.next) &&
    x.crc32 === y.crc32
  );
}
