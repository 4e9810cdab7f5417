/**
 * Messages that JetStream stores all or none of (its atomic batches, ADR-50): they share an id, are numbered, and the last
 * one commits. Done here rather than by the client, which keeps to itself why a server has refused a batch.
 */
import { randomBytes } from "node:crypto";
import { type ApiError, JetStreamApiError } from "@nats-io/jetstream";
import type { MsgHdrs, NatsConnection } from "@nats-io/transport-node";

export interface Part {
  readonly subject: string;
  readonly body: Uint8Array;
  readonly headers: MsgHdrs;
}

/** Messages sent before the connection is asked to keep up. */
const FLUSH_EVERY = 16;

/**
 * What the batch expects of the stream stands in the headers of its first message. Resolves to the sequence of the last; rejects with `JetStreamApiError` when the server refuses the batch (then
 * nothing was stored), with anything else when it did not answer (then it may have been).
 */
export async function publishAtomic(
  connection: NatsConnection,
  parts: readonly Part[],
  timeoutMs: number,
): Promise<number> {
  const id = randomBytes(16).toString("hex");
  const last = parts.length - 1;
  for (const [i, { subject, body, headers }] of parts.entries()) {
    headers.set("Nats-Batch-Id", id);
    headers.set("Nats-Batch-Sequence", String(i + 1));
    if (i === last) headers.set("Nats-Batch-Commit", "1");
    // The first is answered once the batch is open, the last once it is stored; those between are not.
    if (i === 0 || i === last) {
      const { data } = await connection.request(subject, body, { headers, timeout: timeoutMs });
      const seq = answer(data);
      if (i === last) return seq;
    } else {
      connection.publish(subject, body, { headers });
      if (i % FLUSH_EVERY === 0) await connection.flush();
    }
  }
  throw new TypeError("an atomic batch has at least one message");
}

/** The last sequence; 0 for the empty answer that opens a batch. */
function answer(data: Uint8Array): number {
  if (data.length === 0) return 0;
  const said = JSON.parse(Buffer.from(data).toString()) as { seq?: number; error?: ApiError };
  if (said.error !== undefined) throw new JetStreamApiError(said.error);
  return said.seq ?? 0;
}
