/** The contract of what a unit reads from, and the reader of JetStream streams. */

import type { Head } from "../storage/sink.ts";
import type { Streams } from "./broker.ts";
import type { Link } from "./chain.ts";
import { Poison } from "./errors.ts";
import { type BlockRef, sameBlock } from "./position.ts";
import type { Signal } from "./wire/batch.ts";
import { type BatchHeader, type BodyCodec, decodeMessage } from "./wire/message.ts";

export interface Incoming<Body> {
  readonly link: Link;
  /** Sequence in the stream; 0 where the source has none. */
  readonly seq: number;
  /** Nothing was there behind it when it was read. */
  readonly newest: boolean;
  /** Encoded size, bytes. */
  readonly bytes: number;
  /** Reads the content. Throws `Poison` when the message is damaged. */
  signal(): Signal<Body>;
  /** The bytes as received, for quarantine. */
  raw(): Uint8Array;
}

/** Where to begin: by the hint that the output carries, or from the oldest message when the hint has proved wrong. */
export type Seek = "hint" | "oldest";

export interface Reader<Body> {
  readonly name: string;
  /** Signals after `head`, in order, until `signal` aborts. May repeat what `head` already holds. */
  read(head: Head | null, seek: Seek, signal: AbortSignal): AsyncIterable<Incoming<Body>>;
}

export class StreamReader<Body> implements Reader<Body> {
  readonly name: string;
  private readonly broker: Streams;
  private readonly subject: string;
  private readonly codec: BodyCodec<Body>;

  constructor(broker: Streams, stream: string, subject: string, codec: BodyCodec<Body>) {
    this.broker = broker;
    this.name = stream;
    this.subject = subject;
    this.codec = codec;
  }

  async *read(head: Head | null, seek: Seek, signal: AbortSignal): AsyncGenerator<Incoming<Body>> {
    const fromSeq = await this.startOf(head, seek);
    for await (const delivery of this.broker.read(this.name, { fromSeq, subject: this.subject, signal })) {
      const { header, body, seq, newest } = delivery;
      yield {
        link: linkOf(header),
        seq,
        newest,
        bytes: body.length,
        signal: () => decodeMessage(delivery, this.codec),
        raw: () => body,
      };
    }
  }

  /** A stream that was lost and made anew counts from one again: the hint must name a message that we hold. */
  private async startOf(head: Head | null, seek: Seek): Promise<number> {
    if (head === null || seek === "oldest" || head.inputSeq === 0) return 1;
    const next = await this.nextAt(head.inputSeq);
    const held = next !== null && (next.slot < head.position.slot || sameBlock(next, head.position));
    if (!held) return 1;
    // That the input is complete is not ours to remember: its last message says it again, or more has come since.
    return head.complete === true ? head.inputSeq : head.inputSeq + 1;
  }

  private async nextAt(seq: number): Promise<BlockRef | null> {
    try {
      return (await this.broker.header(this.name, { seq }))?.header.next ?? null;
    } catch (error) {
      if (error instanceof Poison) return null;
      throw error;
    }
  }
}

export function linkOf(header: BatchHeader): Link {
  return {
    kind: header.kind,
    prev: header.prev,
    next: header.next,
    finalSlot: header.final,
    time: header.time,
    blocks: header.blocks.map(([slot, hash]) => ({ slot, hash })),
  };
}

/** What comes is handed on after `pause`, each time: for units whose work can wait for a better moment. */
export function patient<Body>(reader: Reader<Body>, pause: (signal: AbortSignal) => Promise<void>): Reader<Body> {
  return {
    name: reader.name,
    async *read(head, seek, signal) {
      for await (const incoming of reader.read(head, seek, signal)) {
        await pause(signal);
        yield incoming;
      }
    },
  };
}
