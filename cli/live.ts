/** Puts the live feed together: what is read of the source that is served, and how clients are told. */
import { KlineService, klineTransport } from "../api/kline/index.ts";
import { type Followed, LiveHub, liveTransport } from "../api/live/index.ts";
import type { TokenReads } from "../api/reads/index.ts";
import type { Transport } from "../api/transport.ts";
import type { Broker } from "../pipeline/broker.ts";
import type { Config } from "../pipeline/config.ts";
import { QUARANTINE } from "../pipeline/datasets/quarantine.ts";
import { TRADES } from "../pipeline/datasets/trades.ts";
import { describe } from "../pipeline/errors.ts";
import { LiveFeed } from "../pipeline/live-feed.ts";
import { logFor } from "../pipeline/log.ts";
import { names } from "../pipeline/names.ts";
import { systemWorld } from "../pipeline/world.ts";
import { decodersFor } from "./programs.ts";

export class LiveService {
  private readonly broker: Broker;
  private readonly log = logFor("live");
  private hub: LiveHub | null = null;
  private reads: TokenReads | null = null;
  /** Null where nothing could be followed. */
  kline: KlineService | null = null;

  constructor(broker: Broker) {
    this.broker = broker;
  }

  /** Follows a generation of a source; the one before is left. Where its decoders cannot be loaded, that is logged. */
  async follow(config: Config, reads: TokenReads): Promise<void> {
    this.reads = reads;
    try {
      const followed = await this.open(config);
      if (this.hub === null) this.begin(config, followed);
      else this.hub.follow(followed);
    } catch (error) {
      // Control and health are served all the same.
      this.log("error", "the live feed cannot be opened", { reason: describe(error) });
    }
  }

  /** Empty where nothing could be followed. */
  get transports(): readonly Transport[] {
    const { hub, kline } = this;
    if (hub === null || kline === null) return [];
    return [liveTransport(hub, systemWorld, this.log), klineTransport(kline)];
  }

  start(): void {
    this.kline?.start();
    this.hub?.start();
  }

  private begin(config: Config, followed: Followed): void {
    const { log } = this;
    const limits = {
      connections: config["live.connections"],
      topics: config["live.topics"],
      bufferBytes: config["live.bufferBytes"],
    };
    this.hub = new LiveHub({ ...followed, world: systemWorld, log, limits });
    this.kline = new KlineService({ hub: this.hub, reads: () => this.reads!, world: systemWorld, log });
  }

  private async open(config: Config): Promise<Followed> {
    const { catalog } = await decodersFor(config);
    const { live } = names(config["nats.prefix"], config["source.name"]);
    const subjects = Array.from({ length: config.lanes }, (_, lane) => live.subject(lane));
    const isEvent = (name: string) => name !== TRADES.name && name !== QUARANTINE.name;
    return {
      feed: new LiveFeed({ broker: this.broker, stream: live.stream, subjects, catalog }),
      eventTypes: new Set([...catalog.keys()].filter(isEvent)),
    };
  }
}
