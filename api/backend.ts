/**
 * What the API reads and steers, as an interface: routes know nodes, wishes and positions, not NATS. What units put into
 * the `details` of their reports is described here as the API expects it; all of it may be missing.
 */
import type { Desired, NodeReport, Standing } from "../pipeline/control.ts";
import { refused } from "./errors.ts";

/** Everything known about the deployment at one moment. */
export interface Snapshot {
  /** When it was taken, ms since the Unix epoch. */
  readonly at: number;
  /** Live processes. */
  readonly nodes: readonly NodeReport[];
  /** Null: nobody has ever asked; then the source is wanted. */
  readonly desired: Desired | null;
  /** Where outputs durably stand, by unit; also of units that no live process runs. */
  readonly standings: ReadonlyMap<string, Standing>;
}

export interface Backend {
  /** As units and streams carry it. */
  readonly source: string;
  /** As the settings name it, where that differs: a later generation of a source has a name of its own. */
  readonly settingsName?: string;
  /** Names of the units that must run: ingest, and all lanes. */
  readonly ingestUnit: string;
  readonly laneUnits: readonly string[];
  /** At most half a second old, or as of now when `fresh`. Throws `Transient` when the broker does not answer. */
  snapshot(fresh?: boolean): Promise<Snapshot>;
  /** Records what is wanted; whoever runs ingest obeys. Throws `Transient`. */
  setDesired(desired: Desired): Promise<void>;
}

/** The backends that a request means: that of the named source, or all. Throws `Poison` NOT_FOUND. */
export function chosen(backends: readonly Backend[], source: string | null): readonly Backend[] {
  if (source === null) return backends;
  const found = backends.filter((backend) => backend.source === source || backend.settingsName === source);
  if (found.length > 0) return found;
  const known = backends.map((backend) => backend.settingsName ?? backend.source).join(", ");
  throw refused("NOT_FOUND", `there is no source of this name; there is: ${known}`);
}
