/**
 * Who runs which unit: one lease a unit in NATS KV, renewed while it is held, gone by itself when its holder dies.
 * Everybody works out from the live nodes who should hold it (`evenShares`), so a membership change moves little.
 * A lease is not a lock: a holder that sleeps may wake up late. What keeps it from harm is the compare-and-set of every
 * output.
 */
import type { Bucket } from "./buckets.ts";
import { Fenced, Transient } from "./errors.ts";
import type { World } from "./world.ts";

const encoder = new TextEncoder();

/** Between looks whether a claimed lease has been given up. */
const CLAIM_EVERY_MS = 200;
const claimOf = (unit: string) => `claim.${unit}`;

export interface LeaseOptions {
  readonly bucket: Bucket;
  readonly node: string;
  readonly ttlMs: number;
  readonly world: World;
  /** Whether, of the live nodes that could run the unit, it should be this one. */
  readonly isFirstInLine: (unit: string) => boolean;
}

export class Lease {
  readonly unit: string;
  private readonly o: LeaseOptions;
  private revision = 0;
  /** Monotonic, ms. */
  private renewedAt = Number.NEGATIVE_INFINITY;

  constructor(unit: string, options: LeaseOptions) {
    this.unit = unit;
    this.o = options;
  }

  /** Whether it is ours as far as we know: a process that slept for too long knows that it is not. */
  get held(): boolean {
    return this.o.world.monotonic() - this.renewedAt < this.o.ttlMs;
  }

  /**
   * Tries once; false when somebody else holds it, or when another live node is first in line. Throws when the server
   * cannot say or store it; then the next try tells.
   */
  async tryAcquire(): Promise<boolean> {
    const kv = this.o.bucket;
    const entry = await kv.get(this.unit);
    const holder = entry === null || entry.operation !== "PUT" ? null : entry.string();
    if (holder !== null && holder !== this.o.node) return false;
    if (holder === null && (!this.isFirstInLine() || (await this.isClaimed()))) return false;
    const startedAt = this.o.world.monotonic();
    try {
      const value = encoder.encode(this.o.node);
      // Our own entry is left from before a quick restart under the same name.
      this.revision =
        holder === null ? await kv.create(this.unit, value) : await kv.update(this.unit, value, entry!.revision);
    } catch (error) {
      // Somebody else was quicker.
      if (error instanceof Fenced) return false;
      throw error;
    }
    this.renewedAt = startedAt;
    return true;
  }

  /**
   * Whether another process asks whoever holds the lease to give it up, as a rebuild does that is about to put a new file in
   * place of the one that is written to.
   */
  async isClaimed(): Promise<boolean> {
    const entry = await this.o.bucket.get(claimOf(this.unit));
    return entry !== null && entry.operation === "PUT" && entry.string() !== this.o.node;
  }

  /**
   * Takes the lease from whoever holds it, who ends its commit and hands it over. Resolves when it is ours; rejects with
   * `Transient` LEASE_HELD after `withinMs`. The claim is gone when this process is: like the lease, it runs out.
   */
  async claim(withinMs: number, signal: AbortSignal): Promise<void> {
    const { bucket, node, world } = this.o;
    const deadline = world.monotonic() + withinMs;
    try {
      for (;;) {
        await bucket.put(claimOf(this.unit), encoder.encode(node));
        if (await this.tryAcquire()) return;
        if (world.monotonic() > deadline) {
          throw new Transient("LEASE_HELD", `${this.unit} was not handed over within ${withinMs / 1000} s`, {
            where: this.unit,
            hint: "Whoever runs it hangs, or is of a version that knows no claims: stop it, and try again.",
          });
        }
        await world.sleep(CLAIM_EVERY_MS, signal);
      }
    } finally {
      // The lease itself keeps others away now.
      await bucket.delete(claimOf(this.unit)).catch(() => undefined);
    }
  }

  /** Renews it; false when it is lost. A server that does not answer is waited for until the lease would have run out. */
  async renew(): Promise<boolean> {
    const startedAt = this.o.world.monotonic();
    try {
      this.revision = await this.o.bucket.update(this.unit, encoder.encode(this.o.node), this.revision);
      this.renewedAt = startedAt;
      return true;
    } catch (error) {
      // A full server lets nobody write: nobody else can take it either.
      if (error instanceof Transient && error.code === "STREAM_FULL") this.renewedAt = startedAt;
      return !(error instanceof Fenced) && startedAt - this.renewedAt < this.o.ttlMs;
    }
  }

  async release(): Promise<void> {
    this.renewedAt = Number.NEGATIVE_INFINITY;
    try {
      await this.o.bucket.delete(this.unit, this.revision);
    } catch {
      // Lost already, or no server: it runs out by itself.
    }
  }

  isFirstInLine(): boolean {
    return this.o.isFirstInLine(this.unit);
  }
}
