/**
 * Providers allow so many streams at a time (two, on free plans) and refuse the next. Whoever wants one here takes a slot
 * first, wherever it runs: leases in NATS KV, one for each stream that the endpoint allows. Without one it waits.
 */
import { createHash } from "node:crypto";
import type { Bucket } from "./buckets.ts";
import { Shutdown, Transient } from "./errors.ts";
import { Lease } from "./leases.ts";
import type { Log } from "./log.ts";
import type { Position } from "./position.ts";
import type { BlockSignal, Source } from "./source/source.ts";
import type { SourceStatus } from "./source/status.ts";
import type { World } from "./world.ts";

const LOOK_EVERY_MS = 1_000;

export interface SlotOptions {
  readonly source: Source & { readonly status: SourceStatus };
  /** Whose streams are counted together, "https://host:port". */
  readonly endpoint: string;
  readonly maxStreams: number;
  /** Of leases. */
  readonly bucket: Bucket;
  readonly ttlMs: number;
  /** Name of the unit: it finds its own slot again after a crash. */
  readonly holder: string;
  readonly world: World;
  readonly log: Log;
}

/** The source itself, as long as there is a slot for it. */
export class SlottedSource implements Source {
  readonly name: string;
  readonly moduleHash: string;
  readonly status: SourceStatus;
  private readonly o: SlotOptions;
  private readonly leases: readonly Lease[];

  constructor(options: SlotOptions) {
    this.name = options.source.name;
    this.moduleHash = options.source.moduleHash;
    this.status = options.source.status;
    this.o = options;
    const { bucket, holder: node, ttlMs, world } = options;
    const id = createHash("sha256").update(options.endpoint).digest("hex").slice(0, 16);
    // Slots have no favourites: whoever comes first has it.
    const lease = { bucket, node, ttlMs, world, isFirstInLine: () => true };
    this.leases = Array.from({ length: options.maxStreams }, (_, i) => new Lease(`stream.${id}.${i}`, lease));
  }

  /** See `Source`. Also throws `Transient` STREAM_SLOT when the slot is lost, and with it the right to the stream. */
  async *blocks(from: Position | null, signal: AbortSignal): AsyncGenerator<BlockSignal> {
    const lease = await this.take(signal);
    if (lease === null) return;
    const lost = new AbortController();
    const over = new AbortController();
    const keeping = this.keep(lease, over.signal).then((kept) => {
      if (!kept) lost.abort(new Shutdown());
    });
    try {
      yield* this.o.source.blocks(from, AbortSignal.any([signal, lost.signal]));
      if (lost.signal.aborted && !signal.aborted) {
        throw new Transient("STREAM_SLOT", "the slot for this stream is lost", { where: this.o.endpoint });
      }
    } finally {
      over.abort(new Shutdown());
      await keeping;
      await lease.release();
    }
  }

  /** Null: asked to stop while it waited. */
  private async take(signal: AbortSignal): Promise<Lease | null> {
    const { maxStreams, world, log, endpoint } = this.o;
    for (let told = false; !signal.aborted; told = true) {
      for (const lease of this.leases) if (await lease.tryAcquire().catch(() => false)) return lease;
      const reason = `all ${maxStreams} streams of the endpoint are in use (source.maxStreams)`;
      if (!told) log("warning", "waiting for a stream", { reason, endpoint });
      this.status.state = "waiting";
      this.status.lastError = reason;
      await world.sleep(LOOK_EVERY_MS, signal).catch(() => undefined);
    }
    this.status.state = "idle";
    return null;
  }

  /** Resolves to false when it could not be renewed. */
  private async keep(lease: Lease, signal: AbortSignal): Promise<boolean> {
    while (!signal.aborted) {
      await this.o.world.sleep(this.o.ttlMs / 4, signal).catch(() => undefined);
      if (!signal.aborted && !(await lease.renew())) return false;
    }
    return true;
  }
}
