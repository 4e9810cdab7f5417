/**
 * One message as JetStream stores it: a header that says what it is, and a body in as many chunks as the size limit asks
 * for. Chunks are stored as one atomic batch, so they follow each other and none is missing.
 */
import type { JsMsg } from "@nats-io/jetstream";
import { headers } from "@nats-io/transport-node";
import type { Part } from "./atomic-batch.ts";
import { Fatal } from "./errors.ts";
import { LIMITS } from "./limits.ts";
import { type Message, parseHeader } from "./wire/message.ts";

export const BATCH_HEADER = "Sluice-Batch";
/** "2/5": third of five chunks; absent when a message is whole. */
const CHUNK_HEADER = "Sluice-Chunk";

export interface Delivery extends Message {
  /** Sequence of the message; of its last chunk, where it came in chunks. */
  readonly seq: number;
  /** Nothing was stored behind it when it was sent to us. */
  readonly newest: boolean;
}

/** Puts chunks together again; anything out of step is a damaged stream, which the caller repairs by replay. */
export class Assembler {
  private parts: Uint8Array[] = [];

  add({ seq, headers: hdrs, data, info }: JsMsg): Delivery | null {
    const header = parseHeader(hdrs?.get(BATCH_HEADER));
    const chunk = hdrs?.get(CHUNK_HEADER) ?? "";
    const newest = info.pending === 0;
    if (chunk === "") {
      this.parts = [];
      return { seq, newest, header, body: data };
    }
    const [index, count] = chunk.split("/").map(Number) as [number, number];
    // A read that starts in the middle of a chunked batch waits for the next whole one; the chain check sees the gap.
    if (index !== this.parts.length) this.parts = [];
    if (index === this.parts.length) this.parts.push(data);
    if (this.parts.length < count) return null;
    const body = Buffer.concat(this.parts);
    this.parts = [];
    return { seq, newest, header, body };
  }
}

/** Throws `Fatal` BATCH_TOO_LARGE when the header says more than a header can: the same batch would be refused for ever. */
export function chunksOf(message: Message & { subject: string }): Part[] {
  const json = JSON.stringify(message.header);
  const bytes = Buffer.byteLength(json);
  if (bytes > LIMITS.headerBytesMax) {
    throw new Fatal("BATCH_TOO_LARGE", `the header of a batch has ${bytes} bytes, ${LIMITS.headerBytesMax} fit`, {
      where: message.subject,
      hint: "It names every block and dataset of the batch: lower batch.maxBlocks, or decode fewer events.",
    });
  }
  const count = Math.max(1, Math.ceil(message.body.length / LIMITS.messageBytesMax));
  return Array.from({ length: count }, (_, i) => {
    const hdrs = headers();
    hdrs.set(BATCH_HEADER, json);
    if (count > 1) hdrs.set(CHUNK_HEADER, `${i}/${count}`);
    const body = message.body.subarray(i * LIMITS.messageBytesMax, (i + 1) * LIMITS.messageBytesMax);
    return { subject: message.subject, body, headers: hdrs };
  });
}
