/**
 * What the API knows of the stores beside tokens, as a contract: how much of the chain the lake covers, and the newest rows
 * of a dataset whatever token they belong to.
 */
import type { LakeSnapshot } from "../../storage/lake/reader.ts";
import type { Row } from "./token-reads.ts";

export type { LakeSnapshot };

export interface StoreReads {
  /** The lake as its manifest told it a few seconds ago at most; null where there is none. */
  lakeNow(): Promise<LakeSnapshot | null>;
  /** Looks whether the lake's manifest is whole. Throws `Fatal` LAKE_* when it is damaged, `Transient` when it cannot be read. */
  requireLake(): Promise<void>;
  /** The newest rows of a dataset of events over the lanes of this host, newest first. */
  newest(dataset: string, limit: number): Row[];
}
