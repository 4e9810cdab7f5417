/**
 * For tests of the live feed: a simulated market that goes on when it is told to, through the real stages, hot stores and
 * publishers of several lanes, over a real nats-server, to a real API server; and the simulator's own truth at the end.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FakeBackend } from "../../api/fixture.ts";
import { KlineService, klineTransport } from "../../api/kline/index.ts";
import { type Followed, LiveHub, type LiveLimits, liveTransport } from "../../api/live/index.ts";
import { JoinedReads } from "../../api/reads/index.ts";
import { type ApiOptions, type RunningApi, startApi } from "../../api/server.ts";
import type { Broker } from "../../pipeline/broker.ts";
import { LivePublisher } from "../../pipeline/live.ts";
import { LiveFeed } from "../../pipeline/live-feed.ts";
import { liveEncoder } from "../../pipeline/live-message.ts";
import { type NatsFixture, startNats } from "../../pipeline/nats-fixture.ts";
import { type BlockMeta, type BlockRef, type Position, sameBlock } from "../../pipeline/position.ts";
import { systemWorld } from "../../pipeline/world.ts";
import { type SimulatedMessage, type SimulationOptions, simulate, type Truth } from "../../simulator/index.ts";
import { type ReadBlock, readMessage } from "../../simulator/naive-reader.ts";
import { SPINPET } from "../../stages/decode/programs/spinpet.ts";
import { DecodeStage } from "../../stages/decode/stage.ts";
import { ShardStage } from "../../stages/shard/stage.ts";
import { LaneStage } from "../../stages/sync/lane-stage.ts";
import { SPINPET_EFFECTS } from "../../stages/sync/spinpet.ts";
import { laneFile } from "../../storage/hot/file.ts";
import { HotStore } from "../../storage/hot/store.ts";

export const EVENT_TYPES = [
  ...["token_created", "buy_sell", "long_short", "force_liquidate"],
  ...["full_close", "partial_close", "milestone_discount"],
];

interface Lane {
  readonly store: HotStore;
  readonly stage: LaneStage;
  readonly publisher: LivePublisher;
}

export interface LiveMarketOptions extends Pick<SimulationOptions, "seed" | "blocks" | "rates"> {
  readonly lanes: number;
}

export interface ServedMarket {
  readonly api: RunningApi;
  readonly hub: LiveHub;
  readonly url: string;
  /** Until it has heard, and told, all that happened in the market. */
  caughtUp(): Promise<void>;
  stop(): Promise<void>;
}

const silent = () => undefined;

export class LiveMarket {
  readonly folder: string;
  readonly stream = "SLUICE_MAIN_LIVE";
  readonly catalog;
  readonly broker: Broker;
  truth: Truth | null = null;
  private readonly nats: NatsFixture;
  private readonly decode = new DecodeStage({ programs: [SPINPET] });
  private readonly shard: ShardStage;
  private readonly lanes: Lane[] = [];
  private readonly messages: Generator<SimulatedMessage, Truth | null>;
  private prev: Position | null = null;
  private finalSlot = 0;

  private constructor(folder: string, nats: NatsFixture, broker: Broker, options: LiveMarketOptions) {
    this.folder = folder;
    this.nats = nats;
    this.broker = broker;
    this.catalog = this.decode.catalog;
    this.shard = new ShardStage(options.lanes);
    this.messages = simulate({ ...options, output: "transactions", truth: "lines" });
  }

  static async start(options: LiveMarketOptions): Promise<LiveMarket> {
    const folder = await mkdtemp(join(tmpdir(), "sluice-live-"));
    const nats = await startNats();
    const broker = await nats.connect();
    const market = new LiveMarket(folder, nats, broker, options);
    await broker.ensureStream({
      name: market.stream,
      subjects: ["sluice.main.live.*"],
      maxBytes: 64 * 1024 * 1024,
      whenFull: "drop-oldest",
    });
    for (let lane = 0; lane < options.lanes; lane++) await market.openLane(lane, options.lanes);
    return market;
  }

  private async openLane(lane: number, lanes: number): Promise<void> {
    // The simulated chain lies in the past: everything is news.
    const encodeLive = liveEncoder(this.catalog, { now: () => 0 });
    const file = laneFile(this.folder, lane);
    const store = new HotStore({ file, lane: { lane, lanes }, catalog: this.catalog, encodeLive });
    await store.open();
    const { broker, stream } = this;
    this.lanes.push({
      store,
      stage: new LaneStage(store.state, SPINPET_EFFECTS),
      publisher: new LivePublisher({ broker, world: systemWorld, store, stream, subject: this.subject(lane) }),
    });
  }

  /** The block that the market has come to. */
  get at(): BlockRef | null {
    return this.prev;
  }

  /** Processes so many messages of the chain; false when it has ended. */
  async go(messages: number): Promise<boolean> {
    for (let i = 0; i < messages; i++) {
      const next = this.messages.next();
      if (next.done === true) {
        this.truth = next.value;
        return false;
      }
      const message = readMessage(next.value);
      if ("block" in message) await this.data([message.block]);
      else await this.undo(message.undo);
      // Lanes publish by themselves: one is always a little later than the other.
      for (const { publisher } of this.lanes) while (await publisher.publish(NEVER));
    }
    return true;
  }

  feed(): LiveFeed {
    const { broker, stream, catalog } = this;
    const subjects = this.lanes.map((_, lane) => this.subject(lane));
    return new LiveFeed({ broker, stream, subjects, catalog, recent: 8 });
  }

  /** An API server with the live feed; several may run. */
  async serve(
    limits: Partial<LiveLimits> = {},
    access: Pick<ApiOptions, "tokens" | "access"> = {},
    feed: Followed["feed"] = this.feed(),
  ): Promise<ServedMarket> {
    const hub = new LiveHub({
      feed,
      eventTypes: new Set(EVENT_TYPES),
      world: systemWorld,
      log: silent,
      limits,
    });
    const reads = new JoinedReads({ folder: this.folder, lanes: this.lanes.length, source: "main" });
    const kline = new KlineService({ hub, reads: () => reads, world: systemWorld, log: silent });
    const api = await startApi({
      ...access,
      kline,
      host: "127.0.0.1",
      port: 0,
      backend: new FakeBackend(),
      reads,
      version: "0.1.0",
      log: silent,
      transports: [liveTransport(hub, systemWorld, silent), klineTransport(kline)],
    });
    kline.start();
    hub.start();
    let heard: BlockRef | null = null;
    hub.listen(({ place }) => {
      heard = place;
    });
    const caughtUp = () => until(() => sameBlock(heard, this.prev));
    const stop = async () => {
      await api.stop();
      reads.close();
    };
    return { api, hub, url: api.url, caughtUp, stop };
  }

  async dispose(): Promise<void> {
    for (const { store } of this.lanes) await store.close();
    await this.nats.dispose();
    await rm(this.folder, { recursive: true, force: true });
  }

  private subject(lane: number): string {
    return `sluice.main.live.${lane}`;
  }

  private async data(read: readonly ReadBlock[]): Promise<void> {
    const blocks = read.map(({ slot, hash, cursor, time, finalHeight }): BlockMeta => {
      return { slot, hash, cursor, time, finalSlot: finalHeight };
    });
    const payloads = read.map(({ output }) => output?.value ?? new Uint8Array(0));
    const typeName = "sf.substreams.solana.v1.Transactions";
    const parts = this.shard.apply(this.decode.apply({ blocks, payloads, typeName }));
    this.finalSlot = Math.max(this.finalSlot, ...blocks.map((b) => b.finalSlot));
    const step = this.step(blocks.at(-1)!);
    for (const [i, { store, stage }] of this.lanes.entries()) {
      await store.commit({ ...step, blocks }, stage.apply(parts[i]!));
    }
    this.prev = step.next;
  }

  private async undo(to: { slot: number; hash: string; cursor: string }): Promise<void> {
    if (this.prev === null) return;
    const step = this.step(to);
    for (const { store } of this.lanes) await store.rollback({ ...step, blocks: [] });
    this.prev = step.next;
  }

  private step({ slot, hash, cursor }: { slot: number; hash: string; cursor: string }) {
    return { prev: this.prev, next: { slot, hash, cursor, moduleHash: "m" }, finalSlot: this.finalSlot, inputSeq: 0 };
  }
}

const NEVER = new AbortController().signal;

/** Waits until something holds; whoever waits longer than a test may take is ended by it. */
export async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await Bun.sleep(5);
}
