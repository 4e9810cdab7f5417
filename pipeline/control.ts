/**
 * What processes tell each other through NATS KV: who is alive and how its units do, where outputs stand, what is wanted
 * (running or not), and which stream must be replayed. All of it is advice that can be lost: correctness rests on the
 * positions inside the outputs.
 */
import type { ToldAlarms } from "./alarm.ts";
import type { Broker } from "./broker.ts";
import type { Bucket } from "./buckets.ts";
import { Fenced } from "./errors.ts";
import type { Generations } from "./generations.ts";
import type { UnitMetrics } from "./metrics.ts";
import type { BlockRef, Position } from "./position.ts";
import { type Amount, addSpend, type Ledger } from "./spend.ts";

export interface Desired {
  readonly running: boolean;
  /** When it was asked for, ms since the Unix epoch. */
  readonly at: number;
  /** Blocks that the running ingest had committed by its own count at that moment; what came after is "since start". */
  readonly blocksBefore?: number;
}

/** Where a unit's output stands durably. `position` null: the output is empty. */
export interface Standing {
  readonly position: Position | null;
  readonly finalSlot: number;
  readonly inputSeq: number;
  /** What the output remembers of the chain, oldest first, from its last final block on; ends with `position`. */
  readonly recent?: readonly BlockRef[];
  /** Nothing was committed yet: the output would begin after `position`. */
  readonly empty?: boolean;
  readonly at: number;
}

/** waiting: for the lease; paused: held, but not wanted. */
export type UnitState = "waiting" | "running" | "paused" | "backing-off" | "failed" | "stopped";

export interface UnitError {
  readonly at: number;
  readonly code: string;
  readonly message: string;
  readonly where?: string;
  readonly hint?: string;
}

export interface UnitReport {
  readonly unit: string;
  readonly stage: string;
  readonly source: string;
  readonly state: UnitState;
  /** Since when in this state, ms since the Unix epoch. */
  readonly since: number;
  readonly metrics: UnitMetrics;
  /** Share of the last interval spent working rather than waiting for input, 0..1. */
  readonly busy: number;
  /** Waiting for room in a full stream. */
  readonly blocked: boolean;
  /** A bounded input is complete; with this block, or with none. */
  readonly ended: boolean;
  readonly endedAt: BlockRef | null;
  readonly errors: readonly UnitError[];
  /** Stage-specific numbers: decoder health, source connection, lake. */
  readonly details: Readonly<Record<string, unknown>>;
}

export interface NodeReport {
  readonly node: string;
  readonly pid: number;
  readonly host: string;
  readonly version: string;
  readonly startedAt: number;
  readonly at: number;
  readonly stages: readonly string[];
  readonly rssBytes: number;
  readonly units: readonly UnitReport[];
}

const encoder = new TextEncoder();

/**
 * A node that has not reported for so long is gone. Nodes report every second; a lease of a dead one runs out by itself
 * in about as long (`lease.ttlMs`), and only then the others look who is next in line.
 */
const NODE_TTL_MS = 5_000;

export class Control {
  private readonly broker: Pick<Broker, "kv">;
  private readonly prefix: string;

  constructor(broker: Pick<Broker, "kv">, prefix: string) {
    this.broker = broker;
    this.prefix = prefix;
  }

  desired(source: string): Promise<Desired | null> {
    return this.get<Desired>("control", `desired.${source}`);
  }

  async setDesired(source: string, desired: Desired): Promise<void> {
    await this.put("control", `desired.${source}`, desired);
  }

  standing(unit: string): Promise<Standing | null> {
    return this.get<Standing>("positions", unit);
  }

  async setStanding(unit: string, standing: Standing): Promise<void> {
    await this.put("positions", unit, standing);
  }

  /** What a source has received, day by day. */
  spend(source: string): Promise<Ledger | null> {
    return this.get<Ledger>("control", `spend.${source}`);
  }

  /** Adds what came to the day of `at`; any number of processes may. Resolves with what all of them have received. */
  addSpend(source: string, at: number, amount: Amount): Promise<Ledger> {
    return this.change<Ledger>(`spend.${source}`, (known) => addSpend(known, at, amount));
  }

  /** Alarms of the source's decoders that were told and are not over. */
  toldAlarms(source: string): Promise<ToldAlarms | null> {
    return this.get<ToldAlarms>("control", `alarms.${source}`);
  }

  async setToldAlarms(source: string, told: ToldAlarms): Promise<void> {
    await this.put("control", `alarms.${source}`, told);
  }

  /** Null: nobody has ever upgraded the source. */
  generations(source: string): Promise<Generations | null> {
    return this.get<Generations>("control", `generations.${source}`);
  }

  /** Changes what is known of them, whatever others change at the same time: `change` may be asked more than once. */
  changeGenerations(source: string, change: (known: Generations | null) => Generations): Promise<Generations> {
    return this.change(`generations.${source}`, change);
  }

  /** Lanes that the source was begun with; null: it has not begun, or that was lost with the server. */
  lanes(source: string): Promise<number | null> {
    return this.get<number>("control", `lanes.${source}`);
  }

  /** Records the number of lanes unless one is recorded; resolves with what is. */
  holdLanes(source: string, lanes: number): Promise<number> {
    return this.change<number>(`lanes.${source}`, (known) => known ?? lanes);
  }

  /** Asks the producer of `stream` to replay it from the lowest position of its consumers. */
  async requestReplay(stream: string, by: string, from: BlockRef | null): Promise<void> {
    await this.put("control", `replay.${stream}`, { by, from });
  }

  async replayRequest(stream: string): Promise<{ by: string; from: BlockRef | null } | null> {
    return this.get("control", `replay.${stream}`);
  }

  async replayDone(stream: string): Promise<void> {
    await this.bucket("control").delete(`replay.${stream}`);
  }

  async report(node: NodeReport): Promise<void> {
    await this.put("nodes", node.node, node);
  }

  async retire(node: string): Promise<void> {
    await this.bucket("nodes").delete(node);
  }

  /** Nodes that have reported lately. */
  async nodes(): Promise<NodeReport[]> {
    const reports: NodeReport[] = [];
    for await (const key of await this.bucket("nodes").keys()) {
      const report = await this.get<NodeReport>("nodes", key);
      if (report !== null) reports.push(report);
    }
    return reports.sort((a, b) => (a.node < b.node ? -1 : 1));
  }

  leases(ttlMs: number): Bucket {
    return this.broker.kv(`${this.prefix}_leases`, ttlMs);
  }

  private bucket(name: "control" | "positions" | "nodes"): Bucket {
    const bucket = `${this.prefix}_${name}`;
    // Reports are worth nothing after a restart of the server; but when its disk is full they must be able to say so.
    return name === "nodes" ? this.broker.kv(bucket, NODE_TTL_MS, "in memory") : this.broker.kv(bucket);
  }

  /** Compare-and-set, again until nobody else has come between. Resolves with what is recorded then. */
  private async change<T>(key: string, change: (known: T | null) => T): Promise<T> {
    const kv = this.bucket("control");
    for (;;) {
      const entry = await kv.get(key);
      const known = entry === null || entry.operation !== "PUT" ? null : entry.json<T>();
      const next = change(known);
      const value = encoder.encode(JSON.stringify(next));
      try {
        if (entry === null || known === null) await kv.create(key, value);
        else await kv.update(key, value, entry.revision);
        return next;
      } catch (error) {
        if (!(error instanceof Fenced)) throw error;
      }
    }
  }

  private async put(bucket: "control" | "positions" | "nodes", key: string, value: unknown): Promise<void> {
    await this.bucket(bucket).put(key, encoder.encode(JSON.stringify(value)));
  }

  private async get<T>(bucket: "control" | "positions" | "nodes", key: string): Promise<T | null> {
    const entry = await this.bucket(bucket).get(key);
    if (entry === null || entry.operation !== "PUT") return null;
    return entry.json<T>();
  }
}
