/** What units need to know of the deployment they belong to. Put together by the composition root, and only there. */

import type { RollLimits } from "../stages/archive/stage.ts";
import type { MapSpec } from "../stages/decode/map/map-spec.ts";
import type { ProgramSpec } from "../stages/decode/program.ts";
import type { Effects } from "../stages/sync/event-row.ts";
import type { HotStore } from "../storage/hot/store.ts";
import type { SlotRange } from "../storage/lake/coverage.ts";
import type { Lineage } from "../storage/lake/entry.ts";
import type { LakeOutput } from "../storage/lake/output.ts";
import type { ObjectStore } from "../storage/lake/store.ts";
import type { Broker } from "./broker.ts";
import type { Config } from "./config.ts";
import type { Control } from "./control.ts";
import type { DatasetSpec } from "./datasets/dataset.ts";
import type { Log } from "./log.ts";
import type { Quiet } from "./quiet.ts";
import type { NextTier } from "./retention.ts";
import type { SubstreamsSource } from "./source/client.ts";
import type { UnitContext } from "./unit.ts";
import type { BlockBatch, DatasetCatalog, RowBatch } from "./wire/batch.ts";
import type { BodyCodec } from "./wire/message.ts";
import type { World } from "./world.ts";

export interface Deployment {
  readonly config: Config;
  /** Name of the source; streams and units carry it. */
  readonly source: string;
  readonly programs: readonly ProgramSpec[];
  /** Outputs that are not blocks of transactions. */
  readonly maps: readonly MapSpec[];
  /** Effects of the programs' events on hot state. */
  readonly effects: Effects;
  readonly catalog: DatasetCatalog;
  readonly blockCodec: BodyCodec<BlockBatch>;
  readonly rowCodec: BodyCodec<RowBatch>;
  readonly rollLimits: RollLimits;
  readonly broker: Broker;
  readonly control: Control;
  readonly world: World;
  /** Stirred by each step of a block on its way to the live feed. */
  readonly quiet: Quiet;
  readonly log: Log;
  /** `settings` count before those of the deployment. */
  openSource(log: Log, settings?: Partial<Config>): Promise<SubstreamsSource>;
  openHotStore(lane: number): HotStore;
  /**
   * Makes the lane's hot store from the lake where this host has none, or one that its stream has moved on from. Does nothing
   * otherwise. Only for the lane's owner, before the store is opened.
   */
  restoreLane(lane: number, context: UnitContext): Promise<void>;
  /** For one lineage; absent: that of the live archive. `datasets`: those it writes; absent: all of the catalog. */
  openLake(log: Log, lineage?: Lineage, datasets?: readonly DatasetSpec[]): Promise<LakeOutput>;
  /** Says what of the lake is there and sound; the same for all lanes, so that each file is read once. */
  lakeProof(): Promise<NextTier>;
  /** The lake as readers see it. */
  lake(): Promise<ObjectStore>;
  /** Segments of history with commits on this host that may not be in the bucket yet. */
  spooledSegments(): Promise<readonly SlotRange[]>;
}
