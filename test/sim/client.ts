/**
 * What a process has instead of a connection to JetStream. The server below it is always right; what goes wrong between
 * the two goes wrong here: lost requests, lost answers, messages that arrive late, twice or out of order.
 */
import type { Broker, StoredHeader, StreamSpec, StreamState, Streams } from "../../pipeline/broker.ts";
import type { Bucket } from "../../pipeline/buckets.ts";
import type { Delivery } from "../../pipeline/chunks.ts";
import { Transient } from "../../pipeline/errors.ts";
import { parseHeader } from "../../pipeline/wire/message.ts";
import type { VirtualClock } from "./clock.ts";
import type { Faults } from "./faults.ts";
import type { Machine } from "./machine.ts";
import type { Outgoing, Server, Stored, Stream } from "./server.ts";

/** Messages that a reader takes in one go. */
const READ_AHEAD = 16;

export class Client implements Streams, Pick<Broker, "kv" | "trim" | "purge" | "ensureStream"> {
  private readonly machine: Machine;
  private readonly server: Server;
  private readonly faults: Faults;
  private readonly clock: VirtualClock;

  constructor(machine: Machine, server: Server, faults: Faults, clock: VirtualClock) {
    this.machine = machine;
    this.server = server;
    this.faults = faults;
    this.clock = clock;
  }

  async publish(stream: string, messages: readonly Outgoing[], expectedLastSeq: number): Promise<number> {
    const place = `publish ${stream}`;
    return await this.machine.call(place, () => {
      if (this.faults.roll("publish lost", place)) throw unknown(place);
      if (this.faults.roll("publish late", place)) {
        this.clock.at(this.clock.now + 500 + this.faults.pick("late ms", place, 20_000), () => {
          this.arriveLate(stream, messages, expectedLastSeq);
        });
        throw unknown(place);
      }
      const seq = this.server.publish(stream, messages, expectedLastSeq);
      if (this.faults.roll("publish unconfirmed", place)) throw unknown(place);
      return seq;
    });
  }

  /** Nobody waits for the answer any more. */
  private arriveLate(stream: string, messages: readonly Outgoing[], expectedLastSeq: number): void {
    try {
      this.server.publish(stream, messages, expectedLastSeq);
    } catch {
      return;
    }
  }

  header(stream: string, at: { seq: number } | { lastOn: string }): Promise<StoredHeader | null> {
    return this.request(`header ${stream}`, () => this.server.header(stream, at));
  }

  streamState(stream: string): Promise<StreamState | null> {
    return this.request(`state ${stream}`, () => this.server.state(stream));
  }

  ensureStream(spec: StreamSpec): Promise<void> {
    return this.request(`ensure ${spec.name}`, () => this.server.ensureStream(spec));
  }

  purge(stream: string): Promise<void> {
    return this.request(`purge ${stream}`, () => this.server.purge(stream));
  }

  trim(stream: string, beforeSeq: number): Promise<void> {
    return this.request(`trim ${stream}`, () => {
      const state = this.server.state(stream);
      if (state !== null && state.messages > 1) this.server.purge(stream, Math.min(beforeSeq, state.lastSeq));
    });
  }

  async *read(
    name: string,
    { fromSeq, subject, signal }: { fromSeq: number; subject: string; signal: AbortSignal },
  ): AsyncGenerator<Delivery> {
    const place = `read ${subject}`;
    await this.machine.step(place);
    const stream = this.server.existing(name);
    const { epoch } = stream;
    let seq = Math.max(1, fromSeq);
    while (!signal.aborted) {
      if (stream.epoch !== epoch || this.faults.roll("read ends", place)) throw unknown(place);
      const pulled = this.pull(stream, seq, subject, place);
      if (pulled.length === 0) await stream.change(signal);
      await this.machine.step(place);
      for (const message of pulled) {
        if (signal.aborted) return;
        yield deliver(message, stream.next(message.seq + 1, subject) === undefined);
        seq = Math.max(seq, message.seq + 1);
      }
    }
  }

  /** The next few messages, as the network brings them. */
  private pull(stream: Stream, fromSeq: number, subject: string, place: string): Stored[] {
    const pulled: Stored[] = [];
    for (let seq = fromSeq; pulled.length < READ_AHEAD; ) {
      const message = stream.next(seq, subject);
      if (message === undefined) break;
      pulled.push(message);
      if (this.faults.roll("delivered twice", place)) pulled.push(message);
      seq = message.seq + 1;
    }
    if (pulled.length > 1 && this.faults.roll("delivered out of order", place)) pulled.reverse();
    return pulled;
  }

  kv(bucket: string, ttlMs = 0): Bucket {
    const use = <T>(action: () => T): Promise<T> => this.use(`kv ${bucket}`, action);
    return {
      get: (key) => use(() => this.server.get(bucket, ttlMs, key)),
      put: (key, value) => use(() => this.server.put(bucket, ttlMs, key, value, null)),
      create: (key, value) => use(() => this.server.put(bucket, ttlMs, key, value, 0)),
      update: (key, value, revision) => use(() => this.server.put(bucket, ttlMs, key, value, revision)),
      delete: (key, revision) => use(() => this.server.delete(bucket, ttlMs, key, revision ?? null)),
      keys: () =>
        use(
          async function* (this: Client) {
            yield* this.server.keys(bucket, ttlMs);
          }.bind(this),
        ),
    };
  }

  private use<T>(place: string, action: () => T): Promise<T> {
    return this.machine.ask(place, () => {
      if (this.faults.roll("key-value fails", place)) throw unknown(place);
      const result = action();
      if (this.faults.roll("key-value fails", place)) throw unknown(place);
      return result;
    });
  }

  private request<T>(place: string, action: () => T): Promise<T> {
    return this.machine.ask(place, () => {
      if (this.faults.roll("request fails", place)) throw unknown(place);
      return action();
    });
  }
}

function deliver({ seq, header, body }: Stored, newest: boolean): Delivery {
  return { seq, newest, header: parseHeader(header), body };
}

function unknown(place: string): Transient {
  return new Transient("NATS_REQUEST", `no answer: ${place}`);
}
