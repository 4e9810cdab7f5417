/**
 * Reads of this host: the lanes' hot stores, and the lake for what has aged out of them. The two are joined at a slot:
 * rows up to it come from the lake, rows above it from the hot store. The lake is written in order and a hot store ages
 * out oldest first and only what the lake has, so there is such a slot, and no row is missing or told twice.
 */
import type { CandleRow } from "../../pipeline/datasets/candles.ts";
import { TRADES } from "../../pipeline/datasets/trades.ts";
import { systemWorld, type World } from "../../pipeline/world.ts";
import { type HotReader, pointOf } from "../../storage/hot/reader.ts";
import type { LakeSnapshot } from "../../storage/lake/reader.ts";
import type { ObjectStore } from "../../storage/lake/store.ts";
import { type Active, Activity } from "./activity.ts";
import { hotCandles, wasCreatedIn } from "./hot-candles.ts";
import { HotLanes } from "./hot-lanes.ts";
import { comparePlaces, LakeRows, MANIFEST_MS, type OlderCandles, placeAfter } from "./lake-rows.ts";
import type { StoreReads } from "./store-reads.ts";
import type {
  Answered,
  CandleRange,
  Candles,
  EventPoint,
  HotEvent,
  MintPoint,
  OffsetPage,
  Page,
  RankedMint,
  Ranking,
  ReadSource,
  ReadStats,
  Row,
  Standing,
  TokenReads,
  UserEvent,
  UserTrades,
} from "./token-reads.ts";
import { type JointSlot, UserTradesReader } from "./user-trades.ts";

/** Counts of everything held are made anew after this long, ms: every probe asks for them. */
const STATS_MS = 1_000;
/** "Recent" events are those of so many seconds. */
const RECENT_SECONDS = 60;

export interface JoinedReadsOptions {
  /** Folder of the lanes' files, and how many lanes the deployment has. */
  readonly folder: string;
  readonly lanes: number;
  /** The source as the lake's live lineage names it. */
  readonly source: string;
  /** Without it, only what is hot is answered. */
  readonly lake?: ObjectStore;
  /** Rows of a lane that are looked at for one page of a user's trades. */
  readonly laneRowsMax?: number;
  /** Of what is told of tokens and not stored here: answers hold until it changes. */
  readonly revision?: () => number;
  readonly world?: Pick<World, "monotonic" | "sleep">;
}

export class JoinedReads implements TokenReads, StoreReads {
  private readonly lanes: HotLanes;
  private readonly lake: LakeRows | null;
  private readonly activity: Activity;
  private readonly ofUsers: UserTradesReader;
  private readonly world: Pick<World, "monotonic" | "sleep">;
  private readonly revision: () => number;
  private counted: { readonly at: number; readonly stats: ReadStats } | null = null;

  constructor({ folder, lanes, source, lake, laneRowsMax, revision, world = systemWorld }: JoinedReadsOptions) {
    this.revision = revision ?? (() => 0);
    this.world = world;
    this.lanes = new HotLanes({ folder, lanes, world });
    this.lake = lake === undefined ? null : new LakeRows(lake, source);
    this.activity = new Activity(this.lanes, world);
    this.ofUsers = new UserTradesReader({
      lanes: this.lanes,
      lake: this.lake,
      world,
      ...(laneRowsMax && { laneRowsMax }),
    });
  }

  version(mint: Uint8Array | null): string {
    if (mint !== null) return `${this.lanes.ofMint(mint).version()}.${this.revision()}`;
    const versions = this.lanes.all().map((reader) => reader.version());
    return `${versions.join(".")}.${this.revision()}`;
  }

  standing(mint: Uint8Array | null): Standing {
    return mint === null ? lowest(this.lanes.all()) : standingOf(this.lanes.ofMint(mint));
  }

  mint(mint: Uint8Array): Answered<Row | null> {
    return this.inLane(mint, (reader) => reader.mint(mint));
  }

  details(mints: readonly Uint8Array[]): Answered<Row[]> {
    const data = mints.map((mint) => this.lanes.ofMint(mint).mint(mint)).filter((row) => row !== null);
    return { data, standing: lowest(this.lanes.all()) };
  }

  mints(page: Page<MintPoint>): Answered<Row[]> {
    return this.overLanes(page, (reader, part) => reader.mints(part), mintOrder);
  }

  async ranked(by: Ranking, { limit, offset }: { limit: number; offset: number }): Promise<Answered<RankedMint[]>> {
    const places = await this.activity.ranked(by);
    return this.described(places.slice(offset, offset + limit));
  }

  async search(text: string, limit: number): Promise<Answered<RankedMint[]>> {
    return this.described((await this.activity.search(text)).slice(0, limit));
  }

  async trades(mint: Uint8Array, page: Page<EventPoint>): Promise<Answered<Row[]>> {
    const reader = this.lanes.ofMint(mint);
    const joint = await this.joint(mint);
    const above = { ...page, ...(page.order === "asc" ? laterOf(page.after, joint.slot) : {}) };
    const hot = () => reader.read(() => ({ rows: reader.trades(mint, above), standing: standingOf(reader) }));
    if (joint.lake === null) return answered(hot(), "hot");
    const old = (limit: number, after: EventPoint | undefined) =>
      this.lake!.trades(joint.lake!, mint, joint.slot, { order: page.order, limit, ...(after && { after }) });
    if (page.order === "asc") {
      const rows = isBelow(page.after, joint.slot) ? await old(page.limit, page.after) : [];
      const { rows: newer, standing } = hot();
      const all = [...rows, ...newer].slice(0, page.limit);
      return answered({ rows: all, standing }, sourceOf(rows.length, all.length - rows.length));
    }
    const { rows: newest, standing } = hot();
    const rows = newest.filter((row) => Number(row["slot"]) > joint.slot);
    const missing = page.limit - rows.length;
    const older = missing > 0 ? await old(missing, rows.length > 0 ? undefined : page.after) : [];
    return answered({ rows: [...rows, ...older], standing }, sourceOf(older.length, rows.length));
  }

  async candles(mint: Uint8Array, interval: number, range: CandleRange): Promise<Answered<Candles>> {
    const { limit } = range;
    const reader = this.lanes.ofMint(mint);
    const { standing, ...hot } = reader.read(() => ({
      ...hotCandles(reader, mint, interval, range),
      standing: standingOf(reader),
    }));
    const { rows, older } = hot;
    const old =
      older === null || this.lake === null ? [] : await this.oldCandles(mint, interval, older, limit + 1 - rows.length);
    const all = [...rows, ...old];
    const shared = older?.shared === null || old.length === 0 ? 0 : 1;
    const source = sourceOf(old.length - shared, rows.length + shared);
    return {
      data: { rows: all.slice(0, limit).reverse(), more: all.length > limit },
      standing: { ...standing, source },
    };
  }

  events(mint: Uint8Array, page: Page<EventPoint>): Answered<HotEvent[]> {
    return this.inLane(mint, (reader) => reader.events(mint, page));
  }

  eventCount(mint: Uint8Array): number {
    return this.lanes.ofMint(mint).eventCount(mint);
  }

  candlePage(mint: Uint8Array, interval: number, page: Page<number>): Answered<Row[]> {
    return this.inLane(mint, (reader) => reader.candles(mint, interval, page));
  }

  candleCount(mint: Uint8Array, interval: number): number {
    return this.lanes.ofMint(mint).candleCount(mint, interval);
  }

  orders(mint: Uint8Array, orderType: number, page: OffsetPage): Answered<Row[]> {
    return this.inLane(mint, (reader) => reader.orders(mint, orderType, page));
  }

  orderCount(mint: Uint8Array, orderType: number): number {
    return this.lanes.ofMint(mint).orderCount(mint, orderType);
  }

  userOrders(user: Uint8Array, mint: Uint8Array | null, page: OffsetPage): Answered<Row[]> {
    if (mint !== null) return this.inLane(mint, (reader) => reader.userOrders(user, mint, page));
    return this.overLanes(page, (reader, part) => reader.userOrders(user, null, { ...part, offset: 0 }), orderOrder);
  }

  userOrderCount(user: Uint8Array, mint: Uint8Array | null): number {
    return sum(this.readersOf(mint).map((reader) => reader.userOrderCount(user, mint)));
  }

  userEvents(user: Uint8Array, mint: Uint8Array | null, page: Page<EventPoint>): Answered<UserEvent[]> {
    const rows = (reader: HotReader, part: Page<EventPoint>) => reader.userEvents(user, mint, part);
    const found =
      mint === null ? this.overLanes(page, rows, chainOrder) : this.inLane(mint, (reader) => rows(reader, page));
    return { ...found, data: found.data.map((row) => ({ row, event: this.eventOf(row) })) };
  }

  userEventCount(user: Uint8Array, mint: Uint8Array | null): number {
    return sum(this.readersOf(mint).map((reader) => reader.userEventCount(user, mint)));
  }

  async userTrades(user: Uint8Array, mint: Uint8Array | null, page: Page<EventPoint>): Promise<UserTrades> {
    const oldest = Math.max(-1, ...this.readersOf(mint).map((reader) => reader.reach(TRADES.name)?.slot ?? -1));
    const reached = await this.lake?.reaching(oldest, this.world.monotonic());
    const joint = reached === undefined || reached.last < 0 ? NO_JOINT : { slot: reached.last, lake: reached.lake };
    const { rows, looked, hot } = await this.ofUsers.page(user, mint, page, joint);
    const standing = lowest(this.readersOf(mint));
    return { data: rows, standing: { ...standing, source: sourceOf(rows.length - hot, hot) }, looked };
  }

  stats(): ReadStats {
    const now = this.world.monotonic();
    if (this.counted === null || now - this.counted.at >= STATS_MS) this.counted = { at: now, stats: this.count() };
    return this.counted.stats;
  }

  private count(): ReadStats {
    const readers = this.lanes.all();
    const appended = new Map<string, number>();
    let recentEvents = 0;
    const headTime = Math.max(-1, ...readers.map((reader) => reader.stand()?.headTime ?? -1));
    for (const reader of readers) {
      for (const [dataset, rows] of reader.appended()) {
        appended.set(dataset, (appended.get(dataset) ?? 0) + rows);
        if (dataset === TRADES.name || headTime < 0) continue;
        recentEvents += reader.countSince(dataset, headTime - RECENT_SECONDS);
      }
    }
    const sizes = readers.map((reader) => reader.size());
    return {
      lanes: readers.length,
      lanesTotal: this.lanes.count,
      mints: sum(sizes.map((size) => size.mints)),
      bytes: sum(sizes.map((size) => size.bytes)),
      appended,
      recentEvents,
      headTime: headTime < 0 ? null : headTime,
      lastEvent: readers
        .map((reader) => reader.lastEvent())
        .reduce((a, b) => ((a?.time ?? 0) >= (b?.time ?? 0) ? a : b), null),
    };
  }

  async lakeNow(): Promise<LakeSnapshot | null> {
    return this.lake === null ? null : this.lake.snapshot(this.world.monotonic(), MANIFEST_MS);
  }

  async requireLake(): Promise<void> {
    await this.lake?.requireWhole();
  }

  newest(dataset: string, limit: number): Row[] {
    const rows = this.lanes.all().flatMap((reader) => reader.newest(dataset, limit));
    return rows.sort((a, b) => chainOrder(b, a)).slice(0, limit);
  }

  close(): void {
    this.lanes.close();
    this.lake?.close();
  }

  /**
   * Where the lake ends and the hot store begins for a token's trades. `lake` is null when the hot store has them all:
   * it has seen the token's creation, and nothing of it has aged out.
   */
  private async joint(mint: Uint8Array): Promise<JointSlot> {
    if (this.lake === null) return NO_JOINT;
    const reader = this.lanes.ofMint(mint);
    const reach = reader.reach(TRADES.name);
    const created = wasCreatedIn(reader, mint) ? Number(reader.mint(mint)!["first_slot"]) : null;
    if (created !== null && reach !== null && (!reach.expired || reach.slot < created)) return NO_JOINT;
    const { last, lake } = await this.lake.reaching(reach?.slot ?? -1, this.world.monotonic());
    // The oldest slot held may be held in part.
    return last < 0 ? NO_JOINT : { slot: Math.min(last, reach?.slot ?? last), lake };
  }

  private async oldCandles(
    mint: Uint8Array,
    interval: number,
    older: OlderCandles,
    limit: number,
  ): Promise<CandleRow[]> {
    const lake = await this.lake!.snapshot(this.world.monotonic(), MANIFEST_MS);
    return this.lake!.candles(lake, mint, interval, older, limit);
  }

  private inLane<T>(mint: Uint8Array, read: (reader: HotReader) => T): Answered<T> {
    const reader = this.lanes.ofMint(mint);
    return reader.read(() => ({ data: read(reader), standing: standingOf(reader) }));
  }

  /** One page of a listing that all lanes have a part of. */
  private overLanes<P extends Page<unknown>>(
    page: P,
    read: (reader: HotReader, page: P) => Row[],
    order: (a: Row, b: Row) => number,
  ): Answered<Row[]> {
    const readers = this.lanes.everyLane();
    const { offset = 0, limit } = page;
    if (readers.length === 1) {
      const reader = readers[0]!;
      return reader.read(() => ({ data: read(reader, page), standing: standingOf(reader) }));
    }
    const parts = readers.flatMap((reader) => read(reader, { ...page, offset: 0, limit: offset + limit }));
    const sorted = parts.sort(page.order === "asc" ? order : (a, b) => order(b, a));
    return { data: sorted.slice(offset, offset + limit), standing: lowest(readers) };
  }

  private described(active: readonly Active[]): Answered<RankedMint[]> {
    const data = active.flatMap(({ mint, trades1h, volume24h }) => {
      const row = this.lanes.ofMint(mint).mint(mint);
      return row === null ? [] : [{ row, trades1h, volume24h }];
    });
    return { data, standing: lowest(this.lanes.all()) };
  }

  private eventOf(row: Row): HotEvent | null {
    const mint = row["mint"] as Uint8Array;
    const found = this.lanes.ofMint(mint).eventsAt(mint, pointOf(row));
    return found.find((event) => event.dataset === row["event"]) ?? null;
  }

  private readersOf(mint: Uint8Array | null): HotReader[] {
    return mint === null ? this.lanes.everyLane() : [this.lanes.ofMint(mint)];
  }
}

/** All is hot, or there is no lake. */
const NO_JOINT: JointSlot = { slot: -1, lake: null };

function standingOf(reader: HotReader): Standing {
  const stand = reader.stand();
  if (stand === null) return { finalUpTo: 0, finalTime: null, asOf: null, source: "hot" };
  const { slot, hash } = stand.position;
  // Finality may be known of blocks that have not come yet: nothing is told of those.
  const finalUpTo = Math.min(stand.finalSlot, slot);
  return { finalUpTo, finalTime: stand.finalTime, asOf: { slot, hash }, source: "hot" };
}

/** What may be said of an answer from several lanes: as much as of the one that is least far. */
function lowest(readers: readonly HotReader[]): Standing {
  const standings = readers.map(standingOf).sort((a, b) => (a.asOf?.slot ?? -1) - (b.asOf?.slot ?? -1));
  const first = standings[0] ?? { finalUpTo: 0, finalTime: null, asOf: null, source: "hot" as const };
  const finalUpTo = Math.min(...standings.map((s) => s.finalUpTo), first.finalUpTo);
  const times = standings.map((s) => s.finalTime);
  const finalTime = times.includes(null) ? null : Math.min(...(times as number[]));
  return { ...first, finalUpTo, finalTime: Number.isFinite(finalTime) ? finalTime : null };
}

function answered({ rows, standing }: { rows: Row[]; standing: Standing }, source: ReadSource): Answered<Row[]> {
  return { data: rows, standing: { ...standing, source } };
}

function sourceOf(old: number, hot: number): ReadSource {
  if (old === 0) return "hot";
  return hot === 0 ? "lake" : "lake+hot";
}

const isBelow = (after: EventPoint | undefined, slot: number) => after === undefined || after.slot <= slot;

/** Where the hot part of a page begins: after everything in the joint's slot. */
function laterOf(after: EventPoint | undefined, slot: number): { after?: EventPoint } {
  if (after !== undefined && after.slot > slot) return { after };
  if (slot < 0) return after === undefined ? {} : { after };
  return { after: placeAfter(slot) };
}

const chainOrder = (a: Row, b: Row) => comparePlaces(pointOf(a), pointOf(b));

function mintOrder(a: Row, b: Row): number {
  const difference = Number(a["first_slot"]) - Number(b["first_slot"]);
  return difference || Buffer.compare(a["mint"] as Uint8Array, b["mint"] as Uint8Array);
}

function orderOrder(a: Row, b: Row): number {
  const difference = (a["start_time"] as number) - (b["start_time"] as number);
  return difference || Buffer.compare(a["order_pda"] as Uint8Array, b["order_pda"] as Uint8Array);
}

const sum = (numbers: readonly number[]) => numbers.reduce((total, n) => total + n, 0);
