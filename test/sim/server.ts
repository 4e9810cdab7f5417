/**
 * JetStream in memory, as far as the pipeline relies on it: sequences, the expected last sequence, batches that are
 * stored whole or not at all, streams that refuse when full, purges that keep the numbering, key-value buckets whose
 * entries end. What is lost here is lost as a server loses it: a tail, a stream, everything.
 */
import type { StoredHeader, StreamSpec, StreamState } from "../../pipeline/broker.ts";
import type { Entry } from "../../pipeline/buckets.ts";
import { Fenced, Transient } from "../../pipeline/errors.ts";
import { type Message, parseHeader } from "../../pipeline/wire/message.ts";
import type { VirtualClock } from "./clock.ts";

export interface Stored {
  readonly seq: number;
  readonly subject: string;
  header: string;
  body: Uint8Array;
}

export type Outgoing = Message & { readonly subject: string };

export class Stream {
  readonly maxBytes: number;
  messages: Stored[] = [];
  lastSeq = 0;
  bytes = 0;
  /** Refuses everything until then, virtual ms. */
  fullUntil = 0;
  /** Raised when readers lose their place: the server was restarted, the stream was cut. */
  epoch = 0;
  private readonly waiting = new Set<() => void>();

  constructor(maxBytes: number) {
    this.maxBytes = maxBytes;
  }

  /** The first message at or after `seq` on the subject. */
  next(seq: number, subject: string): Stored | undefined {
    return this.messages.slice(this.indexOf(seq)).find((m) => m.subject === subject);
  }

  get(seq: number): Stored | undefined {
    const message = this.messages[this.indexOf(seq)];
    return message?.seq === seq ? message : undefined;
  }

  append(messages: readonly Outgoing[]): void {
    for (const { subject, header, body } of messages) {
      const text = JSON.stringify(header);
      this.messages.push({ seq: ++this.lastSeq, subject, header: text, body });
      this.bytes += text.length + body.length;
    }
    this.wake();
  }

  /** Drops messages below `seq`; numbers go on from where they were. */
  dropBelow(seq: number): void {
    this.keep(this.messages.slice(this.indexOf(seq)));
  }

  /** Drops messages above `seq`, as a server does that comes back from an older state. */
  cutAfter(seq: number): void {
    this.keep(this.messages.slice(0, this.indexOf(seq + 1)));
    this.lastSeq = seq;
    this.dropReaders();
  }

  dropReaders(): void {
    this.epoch++;
    this.wake();
  }

  /** Resolves when something has changed. */
  change(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        this.waiting.delete(done);
        signal.removeEventListener("abort", done);
        resolve();
      };
      this.waiting.add(done);
      signal.addEventListener("abort", done, { once: true });
    });
  }

  private wake(): void {
    for (const done of [...this.waiting]) done();
  }

  private keep(messages: Stored[]): void {
    this.messages = messages;
    this.bytes = messages.reduce((sum, m) => sum + m.header.length + m.body.length, 0);
  }

  private indexOf(seq: number): number {
    const first = this.messages[0]?.seq ?? seq;
    return Math.max(0, Math.min(this.messages.length, seq - first));
  }
}

interface KeyValue {
  readonly value: string;
  readonly revision: number;
  readonly at: number;
}

export class Server {
  readonly streams = new Map<string, Stream>();
  private readonly clock: VirtualClock;
  private readonly buckets = new Map<string, Map<string, KeyValue>>();
  private readonly checksExpectation: boolean;
  private readonly trace: (line: string) => void;
  private revision = 0;

  constructor(clock: VirtualClock, checksExpectation: boolean, trace: (line: string) => void) {
    this.clock = clock;
    this.trace = trace;
    this.checksExpectation = checksExpectation;
  }

  ensureStream(spec: StreamSpec): void {
    if (!this.streams.has(spec.name)) this.streams.set(spec.name, new Stream(spec.maxBytes));
  }

  deleteStream(name: string): void {
    this.streams.get(name)?.dropReaders();
    this.streams.delete(name);
  }

  loseEverything(): void {
    for (const name of [...this.streams.keys()]) this.deleteStream(name);
    this.buckets.clear();
  }

  publish(name: string, messages: readonly Outgoing[], expectedLastSeq: number): number {
    const stream = this.existing(name);
    if (this.checksExpectation && stream.lastSeq !== expectedLastSeq) {
      throw new Fenced("STREAM_FENCED", `${name} ends at ${stream.lastSeq}, not at ${expectedLastSeq}`);
    }
    const size = messages.reduce((sum, m) => sum + m.body.length + JSON.stringify(m.header).length, 0);
    if (stream.bytes + size > stream.maxBytes || this.clock.now < stream.fullUntil) {
      throw new Transient("STREAM_FULL", `${name} is full`);
    }
    stream.append(messages);
    const { kind, prev, next, final } = messages[0]!.header;
    this.trace(`${name} ${stream.lastSeq}: ${kind} ${prev?.hash} -> ${next.hash}, final ${final}`);
    return stream.lastSeq;
  }

  state(name: string): StreamState | null {
    const stream = this.streams.get(name);
    if (stream === undefined) return null;
    const { messages, lastSeq, bytes, maxBytes } = stream;
    return { firstSeq: messages[0]?.seq ?? lastSeq + 1, lastSeq, messages: messages.length, bytes, maxBytes };
  }

  header(name: string, at: { seq: number } | { lastOn: string }): StoredHeader | null {
    const stream = this.streams.get(name);
    const found = "seq" in at ? stream?.get(at.seq) : stream?.messages.findLast((m) => m.subject === at.lastOn);
    if (found === undefined) return null;
    return { seq: found.seq, subject: found.subject, header: parseHeader(found.header) };
  }

  purge(name: string, belowSeq?: number): void {
    const stream = this.existing(name);
    stream.dropBelow(belowSeq ?? stream.lastSeq + 1);
    this.trace(`${name} begins at ${this.state(name)?.firstSeq}`);
  }

  existing(name: string): Stream {
    const stream = this.streams.get(name);
    if (stream === undefined) throw new Transient("NATS_REQUEST", `nobody answers for ${name}`);
    return stream;
  }

  get(bucket: string, ttlMs: number, key: string): Entry | null {
    const found = this.entries(bucket, ttlMs).get(key);
    if (found === undefined) return null;
    const { revision, value } = found;
    return { revision, operation: "PUT", string: () => value, json: <T>() => JSON.parse(value) as T };
  }

  /** `expected`: revision that the key must have; 0 = must not exist; null = whatever. */
  put(bucket: string, ttlMs: number, key: string, value: Uint8Array, expected: number | null): number {
    const entries = this.entries(bucket, ttlMs);
    this.expect(entries, key, expected);
    const revision = ++this.revision;
    entries.set(key, { value: Buffer.from(value).toString(), revision, at: this.clock.now });
    return revision;
  }

  delete(bucket: string, ttlMs: number, key: string, expected: number | null): void {
    const entries = this.entries(bucket, ttlMs);
    this.expect(entries, key, expected);
    entries.delete(key);
  }

  keys(bucket: string, ttlMs: number): string[] {
    return [...this.entries(bucket, ttlMs).keys()];
  }

  private expect(entries: Map<string, KeyValue>, key: string, expected: number | null): void {
    const revision = entries.get(key)?.revision ?? 0;
    if (expected !== null && revision !== expected) throw new Fenced("STREAM_FENCED", `${key} is at ${revision}`);
  }

  private entries(bucket: string, ttlMs: number): Map<string, KeyValue> {
    let entries = this.buckets.get(bucket);
    if (entries === undefined) this.buckets.set(bucket, (entries = new Map()));
    if (ttlMs === 0) return entries;
    for (const [key, { at }] of entries) if (at + ttlMs <= this.clock.now) entries.delete(key);
    return entries;
  }
}
