/** A provider's stream as a deployment reads it: within the streams that are allowed, counted, and held against the budget. */
import type { Deployment } from "./deployment.ts";
import type { Log } from "./log.ts";
import type { SubstreamsSource } from "./source/client.ts";
import { parseEndpoint } from "./source/endpoint.ts";
import type { Range } from "./source/range.ts";
import { budgetOf } from "./spend.ts";
import { MeteredSource } from "./spend-meter.ts";
import { SlottedSource } from "./stream-slots.ts";

/**
 * `holder` names the unit: it finds its own slot again after a crash. With `range`, what it will bring is said before it is
 * read.
 */
export function paidSource(
  d: Deployment,
  source: SubstreamsSource,
  holder: string,
  log: Log,
  range?: Range,
): MeteredSource {
  return new MeteredSource({
    ...(range === undefined ? {} : { range }),
    ...{ source: slotted(d, source, holder, log), budget: budgetOf(d.config), world: d.world, log },
    read: () => d.control.spend(d.source),
    add: (at, amount) => d.control.addSpend(d.source, at, amount),
  });
}

/** A provider counts streams; an endpoint on this machine does not. */
function slotted(d: Deployment, source: SubstreamsSource, holder: string, log: Log): SubstreamsSource | SlottedSource {
  const { "source.maxStreams": maxStreams, "lease.ttlMs": ttlMs } = d.config;
  const { origin: endpoint, loopback } = parseEndpoint(d.config["source.endpoint"]);
  if (maxStreams === 0 || loopback) return source;
  const bucket = d.control.leases(ttlMs);
  return new SlottedSource({ source, endpoint, maxStreams, bucket, ttlMs, holder, world: d.world, log });
}
