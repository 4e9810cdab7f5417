/**
 * A market for the page: simulated, processed by the real stages, told by the real live feed, and served by the real API,
 * which can be stopped and come back at the same address. Only the pipeline's reports are made up.
 */
import { FakeBackend, HEAD_SLOT } from "../../api/fixture.ts";
import { LiveHub, liveTransport } from "../../api/live/index.ts";
import { JoinedReads } from "../../api/reads/index.ts";
import { startApi } from "../../api/server.ts";
import { silentLog } from "../../pipeline/log.ts";
import { systemWorld } from "../../pipeline/world.ts";
import { EVENT_TYPES, LiveMarket } from "../api/live-ground.ts";

const LANES = 2;

export class Ground {
  readonly market: LiveMarket;
  readonly backend = new FakeBackend();
  private port = 0;
  private stopApi: (() => Promise<void>) | null = null;

  private constructor(market: LiveMarket) {
    this.market = market;
  }

  static async start(options: { seed: number; blocks: number }): Promise<Ground> {
    const ground = new Ground(await LiveMarket.start({ ...options, lanes: LANES }));
    await ground.serve();
    return ground;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** At the address that it had before. */
  async serve(): Promise<void> {
    const log = silentLog;
    const hub = new LiveHub({
      feed: this.market.feed(),
      eventTypes: new Set(EVENT_TYPES),
      world: systemWorld,
      log,
    });
    const reads = new JoinedReads({ folder: this.market.folder, lanes: LANES, source: "main" });
    const api = await startApi({
      host: "127.0.0.1",
      port: this.port,
      backend: this.backend,
      reads,
      stores: reads,
      version: "0.1.0",
      log,
      transports: [liveTransport(hub, systemWorld, log)],
    });
    hub.start();
    this.port = Number(new URL(api.url).port);
    this.stopApi = async () => {
      await api.stop();
      reads.close();
    };
  }

  async stop(): Promise<void> {
    await this.stopApi?.();
    this.stopApi = null;
  }

  async dispose(): Promise<void> {
    await this.stop();
    await this.market.dispose();
  }

  /** The processes report again: so many blocks more, a second later. */
  report(blocks: number): void {
    const { backend } = this;
    backend.now += 1_000;
    backend.nodes = backend.nodes.map((node) => ({
      ...node,
      at: node.at + 1_000,
      units: node.units.map((unit) => ({
        ...unit,
        metrics: {
          ...unit.metrics,
          sentBlocks: unit.metrics.sentBlocks + blocks,
          position: { slot: (unit.metrics.position?.slot ?? HEAD_SLOT) + blocks, hash: "Head" },
        },
      })),
    }));
  }

  async get<T>(path: string): Promise<T> {
    return (await (await fetch(`${this.url}${path}`)).json()) as T;
  }
}
