/**
 * A user's trades. Hot stores are laid out by token and a further index would cost every commit, so what is final comes from the
 * lake, which is read by columns, and only what the lake does not have yet is looked for in the hot stores, row by row, a
 * piece at a time with pauses.
 */
import type { World } from "../../pipeline/world.ts";
import { type HotReader, pointOf } from "../../storage/hot/reader.ts";
import type { LakeSnapshot } from "../../storage/lake/reader.ts";
import type { HotLanes } from "./hot-lanes.ts";
import { comparePlaces, type LakeRows, placeAfter } from "./lake-rows.ts";
import type { EventPoint, Found, Page, Row } from "./token-reads.ts";

/** Rows of a lane that are looked at without a pause, and for one page. */
const PIECE_ROWS = 20_000;
const LANE_ROWS_MAX = 200_000;

export interface UserTradesOptions {
  readonly lanes: Pick<HotLanes, "everyLane" | "ofMint">;
  readonly lake: LakeRows | null;
  readonly world: Pick<World, "sleep">;
  /** Rows of a lane that are looked at for one page. */
  readonly laneRowsMax?: number;
}

/** Rows up to the slot come from the lake, rows above it are hot. */
export interface JointSlot {
  readonly slot: number;
  /** Null: all is hot. */
  readonly lake: LakeSnapshot | null;
}

/** Those of one page, and how many of them are hot. */
export interface FoundTrades extends Found<EventPoint> {
  readonly hot: number;
}

export class UserTradesReader {
  private readonly options: UserTradesOptions;

  constructor(options: UserTradesOptions) {
    this.options = options;
  }

  /** `joint`: rows up to its slot are the lake's, rows above it are hot. */
  async page(
    user: Uint8Array,
    mint: Uint8Array | null,
    page: Page<EventPoint>,
    joint: JointSlot,
  ): Promise<FoundTrades> {
    const { order, limit, after } = page;
    if (order === "desc") {
      const hot = await this.hot(user, mint, page, joint.slot);
      const missing = limit - hot.rows.length;
      if (missing <= 0 || hot.looked !== null) return { ...hot, hot: hot.rows.length };
      const old = await this.old(user, mint, { ...page, limit: missing }, joint);
      return { rows: [...hot.rows, ...old.rows], looked: old.looked, hot: hot.rows.length };
    }
    const old = after !== undefined && after.slot > joint.slot ? NOTHING : await this.old(user, mint, page, joint);
    const missing = limit - old.rows.length;
    if (missing <= 0 || old.looked !== null) return { ...old, hot: 0 };
    const isAbove = after !== undefined && after.slot > joint.slot;
    const from = isAbove || joint.slot < 0 ? after : placeAfter(joint.slot);
    const hot = await this.hot(user, mint, { order, limit: missing, ...(from && { after: from }) }, joint.slot);
    return { rows: [...old.rows, ...hot.rows], looked: hot.looked, hot: hot.rows.length };
  }

  private async old(user: Uint8Array, mint: Uint8Array | null, page: Page<EventPoint>, { slot, lake }: JointSlot) {
    if (lake === null) return NOTHING;
    return this.options.lake!.userTrades(lake, user, mint, slot, page);
  }

  /** Over all lanes, as far as each of them was looked at. */
  private async hot(
    user: Uint8Array,
    mint: Uint8Array | null,
    page: Page<EventPoint>,
    slot: number,
  ): Promise<Found<EventPoint>> {
    const { lanes } = this.options;
    const count = mint === null ? lanes.everyLane().length : 1;
    const parts: Found<EventPoint>[] = [];
    for (let lane = 0; lane < count; lane++) {
      // Asked for anew for each piece: a lane may have been opened again during a pause.
      const reader = () => (mint === null ? lanes.everyLane()[lane]! : lanes.ofMint(mint));
      parts.push(await this.lane(reader, user, mint, page, slot));
    }
    const sign = page.order === "asc" ? 1 : -1;
    const compare = (a: EventPoint, b: EventPoint) => sign * comparePlaces(a, b);
    const looked = parts.flatMap((part) => part.looked ?? []).sort(compare)[0] ?? null;
    const all = parts.flatMap(({ rows }) => rows).sort((a, b) => compare(pointOf(a), pointOf(b)));
    const rows = looked === null ? all : all.filter((row) => compare(pointOf(row), looked) <= 0);
    if (rows.length >= page.limit) return { rows: rows.slice(0, page.limit), looked: null };
    return { rows, looked };
  }

  private async lane(
    reader: () => HotReader,
    user: Uint8Array,
    mint: Uint8Array | null,
    page: Page<EventPoint>,
    slot: number,
  ): Promise<Found<EventPoint>> {
    const { world, laneRowsMax = LANE_ROWS_MAX } = this.options;
    const rows: Row[] = [];
    let { after } = page;
    for (let left = laneRowsMax; ; ) {
      const part = { order: page.order, limit: page.limit - rows.length, ...(after && { after }) };
      const piece = Math.min(left, PIECE_ROWS);
      const found = reader().userTrades(user, mint, part, slot, piece);
      rows.push(...found.rows);
      left -= piece;
      if (found.looked === null || left <= 0) return { rows, looked: found.looked };
      after = found.looked;
      await world.sleep(0);
    }
  }
}

const NOTHING: Found<EventPoint> = { rows: [], looked: null };
