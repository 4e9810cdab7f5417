/** Puts the live feed together: what is read of the source that is served, and how clients are told. */
import { type Followed, LiveHub, liveTransport } from "../api/live/index.ts";
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

  constructor(broker: Broker) {
    this.broker = broker;
  }

  /** Follows a generation of a source; the one before is left. Where its decoders cannot be loaded, that is logged. */
  async follow(config: Config): Promise<void> {
    try {
      const followed = await this.open(config);
      if (this.hub === null) this.hub = this.newHub(config, followed);
      else this.hub.follow(followed);
    } catch (error) {
      // Control and health are served all the same.
      this.log("error", "the live feed cannot be opened", { reason: describe(error) });
    }
  }

  /** Empty where nothing could be followed. */
  get transports(): readonly Transport[] {
    return this.hub === null ? [] : [liveTransport(this.hub, systemWorld, this.log)];
  }

  start(): void {
    this.hub?.start();
  }

  private newHub(config: Config, followed: Followed): LiveHub {
    const limits = {
      connections: config["live.connections"],
      topics: config["live.topics"],
      bufferBytes: config["live.bufferBytes"],
    };
    return new LiveHub({ ...followed, world: systemWorld, log: this.log, limits });
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
