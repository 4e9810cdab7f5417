/** The lanes of this host: one reader a file, opened when it is needed and again when the file was replaced. */
import { statSync } from "node:fs";
import { Transient } from "../../pipeline/errors.ts";
import { laneOf } from "../../pipeline/shards.ts";
import type { World } from "../../pipeline/world.ts";
import { laneFile } from "../../storage/hot/file.ts";
import { lanesChanged } from "../../storage/hot/lanes.ts";
import { HotReader } from "../../storage/hot/reader.ts";
import { base58 } from "../../storage/lake/base58.ts";

/** A lane that was rebuilt has another file under the same name: looked for as often as this, ms. */
const LOOK_MS = 2_000;

interface OpenLane {
  readonly reader: HotReader;
  readonly inode: number;
  checkedAt: number;
}

export class HotLanes {
  readonly count: number;
  private readonly folder: string;
  private readonly world: Pick<World, "monotonic">;
  private readonly open = new Map<number, OpenLane>();

  constructor(options: { folder: string; lanes: number; world: Pick<World, "monotonic"> }) {
    this.folder = options.folder;
    this.count = options.lanes;
    this.world = options.world;
  }

  /** The reader of a token's lane. Throws `Transient`: LANE_ELSEWHERE when only other lanes are here, HOT_MISSING when none is. */
  ofMint(mint: Uint8Array): HotReader {
    return this.reader(this.count === 1 ? 0 : laneOf(base58(mint, 0, 32), this.count));
  }

  /** Readers of all lanes that are here. */
  all(): HotReader[] {
    return Array.from({ length: this.count }, (_, lane) => this.found(lane)).filter((reader) => reader !== null);
  }

  /** Readers of all lanes. Throws as `ofMint` when one is not here: a part is no answer. */
  everyLane(): HotReader[] {
    return Array.from({ length: this.count }, (_, lane) => this.reader(lane));
  }

  close(): void {
    for (const { reader } of this.open.values()) reader.close();
    this.open.clear();
  }

  private reader(lane: number): HotReader {
    const found = this.found(lane);
    if (found === null) throw this.notHere(lane);
    return found;
  }

  /** Null when the lane has no file here. */
  private found(lane: number): HotReader | null {
    const file = laneFile(this.folder, lane);
    const now = this.world.monotonic();
    const known = this.open.get(lane);
    if (known !== undefined) {
      if (now - known.checkedAt < LOOK_MS) return known.reader;
      known.checkedAt = now;
      if (inodeOf(file) === known.inode) return known.reader;
      this.open.delete(lane);
      known.reader.close();
    }
    const inode = inodeOf(file);
    if (inode === null) return null;
    const reader = this.opened(file);
    this.open.set(lane, { reader, inode, checkedAt: now });
    return reader;
  }

  private notHere(lane: number): Transient {
    const file = laneFile(this.folder, lane);
    const lanes = Array.from({ length: this.count }, (_, other) => laneFile(this.folder, other));
    if (lanes.some((other) => inodeOf(other) !== null)) {
      return new Transient(
        "LANE_ELSEWHERE",
        `lane ${lane} of ${this.count} is needed for this and is not on this host: ask the API of the host that runs it`,
        {
          where: file,
          hint: "Run the API where all lanes are, or one on each host behind a proxy that knows the lanes.",
        },
      );
    }
    return new Transient("HOT_MISSING", "nothing is indexed on this host yet: `sluice stages` begins", {
      where: file,
      hint: "Run the API on a host that runs lanes, or start `sluice stages` here.",
    });
  }

  /** Throws `Fatal` LANES_CHANGED: tokens would be looked for in lanes that are not theirs. */
  private opened(file: string): HotReader {
    const reader = new HotReader(file);
    const { lanes } = reader.lane();
    if (lanes === this.count) return reader;
    reader.close();
    throw lanesChanged(lanes, this.count, file);
  }
}

function inodeOf(file: string): number | null {
  return statSync(file, { throwIfNoEntry: false })?.ino ?? null;
}
