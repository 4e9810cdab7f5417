/** The lanes of this host: one reader a file, opened when it is needed and again when the file was replaced. */
import { statSync } from "node:fs";
import { classify, Transient } from "../../pipeline/errors.ts";
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

  /** The reader of a token's lane. Throws `Transient` HOT_MISSING when the lane is not here. */
  ofMint(mint: Uint8Array): HotReader {
    return this.reader(this.count === 1 ? 0 : laneOf(base58(mint, 0, 32), this.count));
  }

  /** Readers of all lanes that are here. */
  all(): HotReader[] {
    const found: HotReader[] = [];
    for (let lane = 0; lane < this.count; lane++) {
      try {
        found.push(this.reader(lane));
      } catch (error) {
        if (classify(error).code !== "HOT_MISSING") throw error;
      }
    }
    return found;
  }

  /** Readers of all lanes. Throws `Transient` HOT_MISSING when one is not here: a part is no answer. */
  everyLane(): HotReader[] {
    return Array.from({ length: this.count }, (_, lane) => this.reader(lane));
  }

  close(): void {
    for (const { reader } of this.open.values()) reader.close();
    this.open.clear();
  }

  private reader(lane: number): HotReader {
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
    if (inode === null) throw notHere(lane, file);
    const reader = this.opened(file);
    this.open.set(lane, { reader, inode, checkedAt: now });
    return reader;
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

function notHere(lane: number, file: string): Transient {
  return new Transient("HOT_MISSING", `lane ${lane} is not on this host, or has not begun`, {
    where: file,
    hint: "Run the API on the host that runs the lane, or start `sluice stages` here.",
  });
}
