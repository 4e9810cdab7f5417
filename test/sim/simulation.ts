/**
 * One seed, one story. First the faults: nothing wrong may be written. Then the world heals: the pipeline must catch up
 * within bounded time and hold exactly the valid chain, each row once, in the lane of its mint; final ones in the archive.
 */

import { Control } from "../../pipeline/control.ts";
import { Shutdown } from "../../pipeline/errors.ts";
import type { LogLevel } from "../../pipeline/log.ts";
import { Supervisor } from "../../pipeline/supervisor.ts";
import { Client } from "./client.ts";
import { VirtualClock } from "./clock.ts";
import { type FaultKind, Faults, LOSING } from "./faults.ts";
import { Machine } from "./machine.ts";
import { type Block, Network, START_SLOT } from "./network.ts";
import { type Bug, Durable, type OutputWorld } from "./outputs.ts";
import { Server } from "./server.ts";
import { SimulatedSource } from "./source.ts";
import { lanesOfMints } from "./stages.ts";
import { type Deployed, LEASE_TTL_MS, NAMES, streamSpecs, unitSpecs } from "./units.ts";

export interface Options {
  readonly seed: number;
  readonly bug?: Bug | null;
  /** Multiplies how likely faults are; 1 by default. */
  readonly strength?: number;
  readonly onTrace?: (line: string) => void;
}

export interface Report {
  readonly seed: number;
  readonly strength: number;
  /** Empty when all is well. */
  readonly problems: readonly string[];
  /** Of everything that happened, in order. */
  readonly traceHash: string;
  readonly faults: ReadonlyMap<FaultKind, number>;
  readonly forks: number;
  readonly takeovers: number;
  readonly fenced: number;
  readonly replays: number;
  readonly blocks: number;
  /** Virtual time from healing until all was well, ms. */
  readonly healedInMs: number;
}

const STORM_BLOCKS = 110;
const CALM_BLOCKS = 30;
/** The world heals: within this, everything must be right. */
const CONVERGE_MS = 600_000;
const LOOK_EVERY_MS = 200;
const MACHINES = 2;

/** What to type to see it again. */
export function commandOf({ seed, strength }: Report): string {
  return `bun test/sim/main.ts --seed ${seed}${strength === 1 ? "" : ` --strength ${strength}`}`;
}

export async function simulate(options: Options): Promise<Report> {
  const simulation = new Simulation(options);
  return await simulation.run();
}

class Simulation {
  private readonly seed: number;
  private readonly strength: number;
  private readonly bug: Bug | null;
  private readonly onTrace: ((line: string) => void) | undefined;
  private readonly clock = new VirtualClock();
  private readonly faults: Faults;
  private readonly network: Network;
  private readonly server: Server;
  private readonly lanes: Durable[];
  private readonly laneOfMint: readonly number[];
  private readonly archive = new Durable("archive");
  private readonly rollBlocks: number;
  private readonly batchBlocks: number;
  /** The range is bounded: the source says when it is complete. */
  private readonly bounded: boolean;
  private readonly problems: string[] = [];
  private readonly stop = new AbortController();
  private readonly endedUnits = new Set<string>();
  /** What was known to be final when a block was first sent: later news may not reach those who have the block. */
  private readonly finalWhenSent = new Map<Block, number>();
  private hash = 0n;
  private produced = false;
  private incarnations = 0;
  private fenced = 0;
  private replays = 0;
  private blocksSent = 0;

  constructor({ seed, bug = null, strength = 1, onTrace }: Options) {
    this.seed = seed;
    this.strength = strength;
    this.bug = bug;
    this.onTrace = onTrace;
    this.faults = new Faults(seed, strength);
    this.network = new Network(this.faults, this.clock);
    this.server = new Server(this.clock, bug !== "no compare-and-set", (text) => this.trace(text));
    const lanes = 1 + this.faults.pick("lanes", "", 4);
    this.lanes = Array.from({ length: lanes }, (_, lane) => new Durable(`lane ${lane}`));
    this.laneOfMint = lanesOfMints(lanes);
    this.rollBlocks = 1 + this.faults.pick("roll", "", 12);
    this.batchBlocks = 1 + this.faults.pick("batch", "", 16);
    this.bounded = this.faults.pick("bounded", "", 3) === 0;
  }

  async run(): Promise<Report> {
    for (let i = 0; i < MACHINES; i++) this.start(`machine ${i}`);
    const signal = this.stop.signal;
    const storm = this.network.produce(STORM_BLOCKS, signal);
    const trouble = this.serverTrouble(signal);
    let done = false;
    void Promise.all([storm]).then(() => {
      done = true;
    });
    await this.clock.run(Number.POSITIVE_INFINITY, () => done || this.problems.length > 0);
    this.faults.enabled = false;
    void trouble;
    const healedAt = this.clock.now;
    this.trace("the world heals");
    void this.network.produce(CALM_BLOCKS, signal).then(() => {
      this.network.catchUp();
      this.produced = true;
    });
    let lookAt = 0;
    const healed = await this.clock.run(healedAt + CONVERGE_MS, () => {
      if (this.problems.length > 0) return true;
      if (!this.produced || this.clock.now < lookAt) return false;
      lookAt = this.clock.now + LOOK_EVERY_MS;
      return this.difference() === null;
    });
    if (!healed) this.problems.push(`not right ${CONVERGE_MS / 1000} s after the faults ended: ${this.difference()}`);
    this.stop.abort(new Shutdown());
    if (this.problems.length === 0) this.checkPromises();
    return this.report(this.clock.now - healedAt);
  }

  /** A process comes up; when it dies, another one comes up in its place. */
  private start(role: string): void {
    const name = `${role}.${this.incarnations++}`.replaceAll(" ", "-");
    const { clock, faults } = this;
    const machine = new Machine(name, { clock, faults, trace: (line) => this.trace(line) }, () => {
      clock.at(clock.now + 500 + faults.pick("restart ms", role, 8_000), () => this.start(role));
    });
    const client = new Client(machine, this.server, faults, clock);
    const outputs: OutputWorld = {
      network: this.network,
      faults,
      bug: this.bug,
      trace: (text) => this.trace(text),
      violation: (what) => this.problem(what),
    };
    const source = new SimulatedSource(machine, this.network, faults, {
      ended: () => this.bounded && this.produced,
      onSent: (block, finalSlot) => {
        this.blocksSent++;
        if (!this.finalWhenSent.has(block)) this.finalWhenSent.set(block, finalSlot);
      },
    });
    const deployed: Deployed = {
      ...{ machine, client, source, lanes: this.lanes, archive: this.archive },
      ...{ rollBlocks: this.rollBlocks, batchBlocks: this.batchBlocks, outputs },
      onEnd: (unit) => this.endedUnits.add(unit),
    };
    const supervisor = new Supervisor({
      ...{ node: name, version: "simulated", stages: [], units: unitSpecs(deployed), leaseTtlMs: LEASE_TTL_MS },
      ...{ control: new Control(client, "sim"), world: machine.world },
      log: (level, message, fields) => this.logged(name, level, message, fields),
      purge: (stream) => client.purge(stream),
      prepare: async () => {
        for (const spec of streamSpecs()) await client.ensureStream(spec);
      },
    });
    this.trace(`${name} comes up`);
    void supervisor.run(this.stop.signal).catch((error) => this.problem(`supervisor: ${error}`));
  }

  /** What befalls the server: a die a second for each of its streams. */
  private async serverTrouble(signal: AbortSignal): Promise<void> {
    const { clock, faults, server } = this;
    while (faults.enabled && !signal.aborted) {
      await clock.sleep(1_000);
      if (faults.roll("everything lost", "server")) {
        this.trace("the server loses everything");
        server.loseEverything();
      }
      for (const [name, stream] of server.streams) {
        if (faults.roll("stream deleted", name)) {
          this.trace(`${name} is deleted`);
          server.deleteStream(name);
        }
        if (faults.roll("stream truncated", name)) {
          const lost = faults.pick("lost messages", name, Math.min(40, stream.messages.length));
          this.trace(`${name} loses its last ${lost}`);
          stream.cutAfter(stream.lastSeq - lost);
        }
        if (faults.roll("stream full", name)) stream.fullUntil = clock.now + faults.pick("full ms", name, 20_000);
        if (stream.messages.length > 0 && faults.roll("message corrupted", name)) {
          const message = stream.messages[faults.pick("corrupted", name, stream.messages.length)]!;
          this.trace(`${name} ${message.seq} is corrupted`);
          if (message.body.length === 0 || faults.pick("header", name, 3) === 0) message.header = "{";
          else message.body = flipped(message.body, faults.pick("byte", name, message.body.length));
        }
      }
    }
  }

  private logged(node: string, level: LogLevel, message: string, fields: Record<string, unknown> = {}): void {
    const unit = String(fields["unit"] ?? "");
    this.trace(`${node} ${unit} ${level}: ${message}${fields["reason"] === undefined ? "" : ` (${fields["reason"]})`}`);
    if (message.startsWith("replaying")) this.replays++;
    if (/FENCED|POSITION|OWNER/.test(String(fields["code"] ?? ""))) this.fenced++;
    if (level === "error") this.problem(`${unit} gives up: ${fields["code"]} ${message} ${fields["stack"] ?? ""}`);
  }

  /** Why the outputs are not what the network says; null when they are. */
  private difference(): string | null {
    const path = this.network.deliveredPath();
    for (const [lane, durable] of this.lanes.entries()) {
      const expected = path.map((b) => line(b, (row) => this.laneOfMint[row.mint] === lane));
      const wrong = firstDifference(expected, durable.kept.map(keptLine));
      if (wrong !== null) return `${durable.name} ${wrong}`;
    }
    const { kept } = this.archive;
    const archived = path.slice(0, kept.length).map((b) => line(b, () => true));
    const wrong = firstDifference(archived, kept.map(keptLine));
    if (wrong !== null) return `archive ${wrong}`;
    const final = this.finalWhenSent.get(path.at(-1)!) ?? 0;
    const missing = path.filter((b) => b.slot <= final).length - kept.length;
    if (this.bounded && !this.endedUnits.has(NAMES.unit("archive"))) return "the archive has not heard of the end";
    return missing >= (this.bounded ? 1 : this.rollBlocks) ? `archive lacks ${missing} final blocks` : null;
  }

  /** What must hold beyond the outputs: without a loss, nothing is replayed. */
  private checkPromises(): void {
    const lost = LOSING.some((kind) => (this.faults.happened.get(kind) ?? 0) > 0);
    if (!lost && this.replays > 0) this.problem(`${this.replays} replays, though nothing was lost`);
  }

  private problem(what: string): void {
    this.trace(`PROBLEM ${what}`);
    this.problems.push(what);
  }

  private trace(what: string): void {
    const text = `${String(this.clock.now).padStart(7)} ${what}`;
    this.hash = Bun.hash.xxHash64(text, this.hash);
    this.onTrace?.(text);
  }

  private report(healedInMs: number): Report {
    return {
      ...{
        seed: this.seed,
        strength: this.strength,
        problems: this.problems,
        traceHash: this.hash.toString(16),
        healedInMs,
      },
      ...{ faults: this.faults.happened, forks: this.network.forks, takeovers: this.incarnations - MACHINES },
      ...{ fenced: this.fenced, replays: this.replays, blocks: this.blocksSent },
    };
  }
}

function line(block: Block, wanted: (row: Block["rows"][number]) => boolean): string {
  return `${block.hash}: ${block.rows.filter(wanted).map((row) => row.id)}`;
}

function keptLine(kept: Durable["kept"][number]): string {
  return `${kept.block.hash}: ${kept.ids}`;
}

function firstDifference(expected: readonly string[], found: readonly string[]): string | null {
  const length = Math.max(expected.length, found.length);
  for (let i = 0; i < length; i++) {
    if (expected[i] !== found[i]) return `has ${found[i]} where ${expected[i]} belongs (${i} of ${length})`;
  }
  return null;
}

function flipped(body: Uint8Array, at: number): Uint8Array {
  const copy = body.slice();
  copy[at]! ^= 1;
  return copy;
}

export { START_SLOT };
