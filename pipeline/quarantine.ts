/** Batches that no stage could process, with their bytes, position and reason; kept for a month in their own stream. */
import { headers } from "@nats-io/transport-node";
import type { Broker } from "./broker.ts";
import type { Deployment } from "./deployment.ts";
import { LIMITS } from "./limits.ts";
import { names } from "./names.ts";
import type { Position } from "./position.ts";
import type { Quarantined } from "./runner.ts";

export async function quarantine(
  d: Pick<Deployment, "config" | "source" | "broker">,
  item: Quarantined,
): Promise<void> {
  const { stream, subject } = names(d.config["nats.prefix"], d.source).quarantine;
  const hdrs = headers();
  hdrs.set("Sluice-Unit", item.unit);
  hdrs.set("Sluice-Position", JSON.stringify(item.position));
  // A header has little room, and one that does not fit would be refused for ever.
  hdrs.set("Sluice-Reason", item.reason.replaceAll(/[\r\n]+/g, " ").slice(0, LIMITS.errorCharactersMax));
  hdrs.set("Sluice-Bytes", String(item.bytes.length));
  // The same batch fails the same way after a restart: its position makes a repeat soon after a no-op. A longer memory would
  // be silence: whoever has taken it out of quarantine must see it when it fails again.
  const id = `${item.unit}.${item.position.slot}.${item.position.hash}`;
  await d.broker.append(stream, subject, item.bytes.subarray(0, LIMITS.quarantineBytesMax), hdrs, id);
}

/** A batch in quarantine. */
export interface KeptBatch extends Quarantined {
  /** Its number in the stream. */
  readonly seq: number;
  /** When it was set aside, ms since the Unix epoch. */
  readonly at: number;
  /** Bytes that it had; `bytes` holds at most `LIMITS.quarantineBytesMax` of them. */
  readonly size: number;
}

/** The batches that a source has in quarantine, oldest first. */
export async function* keptBatches(broker: Broker, stream: string): AsyncGenerator<KeptBatch> {
  const state = await broker.streamState(stream);
  if (state === null || state.messages === 0) return;
  for (let seq = state.firstSeq; seq <= state.lastSeq; seq++) {
    const batch = await keptBatch(broker, stream, seq);
    if (batch !== null) yield batch;
  }
}

/** Null when there is none of that number. */
export async function keptBatch(broker: Broker, stream: string, seq: number): Promise<KeptBatch | null> {
  const message = await broker.message(stream, seq);
  if (message === null) return null;
  const header = (name: string) => message.header.get(name);
  return {
    seq,
    at: message.time.getTime(),
    unit: header("Sluice-Unit"),
    position: JSON.parse(header("Sluice-Position")) as Position,
    reason: header("Sluice-Reason"),
    bytes: message.data,
    size: Number(header("Sluice-Bytes")),
  };
}
