/** Batches that no stage could process, with their bytes, position and reason; kept for a month in their own stream. */
import { headers } from "@nats-io/transport-node";
import type { Deployment } from "./deployment.ts";
import { LIMITS } from "./limits.ts";
import { names } from "./names.ts";
import type { Quarantined } from "./runner.ts";

export async function quarantine(d: Deployment, item: Quarantined): Promise<void> {
  const { stream, subject } = names(d.config["nats.prefix"], d.source).quarantine;
  const hdrs = headers();
  hdrs.set("Sluice-Unit", item.unit);
  hdrs.set("Sluice-Position", JSON.stringify(item.position));
  hdrs.set("Sluice-Reason", item.reason.replaceAll(/[\r\n]+/g, " "));
  hdrs.set("Sluice-Bytes", String(item.bytes.length));
  // The same batch fails the same way after a restart: its position makes the repeat a no-op.
  const id = `${item.unit}.${item.position.slot}.${item.position.hash}`;
  await d.broker.append(stream, subject, item.bytes.subarray(0, LIMITS.quarantineBytesMax), hdrs, id);
}
