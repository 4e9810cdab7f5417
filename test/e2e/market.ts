/**
 * A simulated market behind a replay endpoint, and the `sluice stages` processes that index it, started and stopped as a
 * test likes: what happens in between is read where anybody can read it, in reports, streams, stores and logs.
 */
import { mkdir, readFile } from "node:fs/promises";
import { type Child, startChild } from "../../cli/child.ts";
import { type Connection, connectBroker } from "../../cli/deployment.ts";
import { folders } from "../../cli/folders.ts";
import { throughSlot } from "../../cli/local-run.ts";
import { holdAgainst } from "../../cli/verdict.ts";
import type { Link } from "../../pipeline/chain.ts";
import { type Config, loadConfig } from "../../pipeline/config.ts";
import type { NodeReport, UnitReport } from "../../pipeline/control.ts";
import { Transient } from "../../pipeline/errors.ts";
import { names } from "../../pipeline/names.ts";
import { type BlockRef, formatBlock, sameBlock } from "../../pipeline/position.ts";
import { linkOf } from "../../pipeline/reader.ts";
import { parseFault } from "../../pipeline/source/faults.ts";
import { type ReplayOptions, SOLANA, serveReplay } from "../../pipeline/source/replay.ts";
import { systemWorld } from "../../pipeline/world.ts";
import { type SimulationOptions, type WrittenSimulation, writeSimulation } from "../../simulator/index.ts";
import { type Ground, until } from "./ground.ts";

export const UNITS_OF_STAGES = ["ingest", "decode", "shard", "lane", "archive"] as const;

export interface MarketOptions {
  readonly blocks: number;
  readonly seed: number;
  /** 0: as fast as it is read. */
  readonly blocksPerSecond?: number;
  /**
   * Slots, counted from the first, whose blocks do not come before `release`, and what lies behind them neither; without
   * `to`: all from there on. For what has to happen before the chain ends: on a busy machine a pace promises nothing.
   */
  readonly hold?: { readonly from: number; readonly to?: number };
  /** The chain begins now rather than in the past: then its head is near. */
  readonly live?: boolean;
  /** The program is upgraded in mid-chain. */
  readonly grows?: NonNullable<SimulationOptions["grows"]>;
  /** Keeps every line of the truth. */
  readonly lines?: boolean;
  /** Settings of all processes, name=value. */
  readonly settings?: readonly string[];
  /** What goes wrong at the endpoint, as `sluice replay --fault` takes it. */
  readonly faults?: readonly string[];
  /** What the endpoint wants of its clients. */
  readonly token?: string;
  readonly env?: Readonly<Record<string, string>>;
}

export interface Stages extends Child {
  readonly log: string;
}

export class Market {
  readonly truth: WrittenSimulation;
  readonly config: Config;
  readonly endpoint: string;
  /** Lets the blocks go that are held back. */
  readonly release: () => void;
  private readonly ground: Ground;
  private readonly options: MarketOptions;
  private readonly processes: Stages[] = [];
  private connected: Connection | null = null;

  static async open(ground: Ground, options: MarketOptions): Promise<Market> {
    const recording = ground.path("market.zst");
    const { seed, blocks, live = false } = options;
    const startTime = live ? { startTime: Math.floor(Date.now() / 1000) } : {};
    const lines = options.lines === true ? { truth: "lines" as const } : {};
    const upgrade = options.grows === undefined ? {} : { grows: options.grows };
    const chain = { seed, blocks, output: "transactions", ...startTime, ...upgrade } as const;
    const truth = await writeSimulation({ ...chain, ...lines, out: recording });
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    const replay = await serveReplay({ recording, ...endpointOf(options, truth.chain.firstSlot, released) });
    ground.atEnd(() => {
      release();
      return replay.close();
    });
    await mkdir(ground.path("data"), { recursive: true });
    const market = new Market(ground, options, truth, `http://127.0.0.1:${replay.port}`, release);
    ground.atEnd(() => market.connected?.close());
    return market;
  }

  private constructor(
    ground: Ground,
    options: MarketOptions,
    truth: WrittenSimulation,
    endpoint: string,
    release: () => void,
  ) {
    this.ground = ground;
    this.options = options;
    this.truth = truth;
    this.endpoint = endpoint;
    this.release = release;
    this.config = loadConfig({ flags: flagsOf(this.settings()) }).values;
  }

  /** The whole chain with its forks, bounded, so that it ends. */
  get whole(): string[] {
    return throughSlot(this.truth.chain.lastSlot);
  }

  settings(): string[] {
    const own = [`data.dir=${this.ground.path("data")}`, `source.endpoint=${this.endpoint}`, "source.startBlock=0"];
    return [...own, "source.package=", ...(this.options.settings ?? [])];
  }

  /** Starts `sluice stages ...args` on the data folder, with more settings than the market's own. */
  start(args: readonly string[] = [], settings: readonly string[] = this.whole): Stages {
    const log = this.ground.path(`stages-${this.processes.length + 1}.log`);
    const flags = [...this.settings(), ...settings].flatMap((setting) => ["--set", setting]);
    const { env = {} } = this.options;
    const child = startChild({ args: ["stages", ...args, ...flags], logFile: log, env });
    this.ground.atEnd(() => child.kill("SIGKILL"));
    // A getter of the child's is kept as one.
    const stages = Object.defineProperty(child, "log", { value: log }) as Stages;
    this.processes.push(stages);
    return stages;
  }

  /** Connects when first asked; the server must be running, or be the folder's own. */
  async connection(): Promise<Connection> {
    this.connected ??= await connectBroker(this.config, "sluice-e2e");
    return this.connected;
  }

  /** The embedded server stops with its last user. */
  async disconnect(): Promise<void> {
    await this.connected?.close();
    this.connected = null;
  }

  async nodes(): Promise<NodeReport[]> {
    return (await this.connection()).control.nodes();
  }

  /** Reports of units that a process holds. */
  async held(): Promise<(UnitReport & { readonly pid: number })[]> {
    const nodes = await this.nodes();
    return nodes
      .flatMap(({ pid, units }) => units.map((unit) => ({ ...unit, pid })))
      .filter((unit) => unit.state !== "waiting" && unit.state !== "stopped");
  }

  /** Asks until there is an answer; gives up when no unit has moved for a while. A silent server is asked again. */
  until<T>(what: string, answer: Parameters<typeof until<T>>[1]): Promise<T> {
    return until(
      what,
      () => unlessSilent(answer, null),
      () => unlessSilent(() => this.progress(), "no answer from the server"),
    );
  }

  /** What every unit has done so far, and the last words of processes that have ended. */
  private async progress(): Promise<string> {
    const gone = (await Promise.all(this.processes.map(lastWords))).filter((words) => words !== "");
    if (this.connected === null) return gone.join("\n");
    const units = (await this.nodes()).flatMap((node) => node.units);
    const lines = units.map(({ unit, state, ended, metrics: m, errors }) => {
      const trouble = errors.at(-1)?.code ?? "";
      return `${unit} ${state}${ended ? " ended" : ""} ${m.position?.slot} ${m.receivedBatches}+${m.sentBatches} ${trouble}`;
    });
    return [...lines.sort(), ...gone].join("\n");
  }

  /** Waits until `unit` of a process that holds it is as wanted. */
  unit(name: string, what: string, is: (unit: UnitReport) => boolean): Promise<UnitReport> {
    return this.until(`${name} ${what}`, async () =>
      (await this.held()).find((unit) => unit.unit === name && is(unit)),
    );
  }

  /** Waits until every unit that carries data has seen the end of its input. */
  ended(): Promise<unknown> {
    const { lanes } = this.config;
    return this.until("the end of the range everywhere", async () => {
      const flowing = (await this.held()).filter((unit) => unit.stage !== "janitor");
      return flowing.length === UNITS_OF_STAGES.length - 1 + lanes && flowing.every((unit) => unit.ended);
    });
  }

  /** What hot stores and lake hold otherwise than the truth; for when nobody writes any more. */
  async differences(): Promise<readonly string[]> {
    return (await holdAgainst(this.config, this.truth)).differences;
  }

  /** The chain as a stream tells it, message by message. */
  async links(stream: "blocks" | "events"): Promise<Link[]> {
    const { broker } = await this.connection();
    const { stream: name } = names(this.config["nats.prefix"], this.config["source.name"])[stream];
    const state = await broker.streamState(name);
    const links: Link[] = [];
    for (let seq = state?.firstSeq ?? 1; seq <= (state?.lastSeq ?? 0); seq++) {
      const stored = await broker.header(name, { seq });
      if (stored === null) continue;
      const link = linkOf(stored.header);
      // The chunks of one message repeat its header.
      const { prev, next } = links.at(-1) ?? {};
      if (links.length === 0 || !(sameBlock(prev!, link.prev) && sameBlock(next!, link.next))) links.push(link);
    }
    return links;
  }

  get natsFolder(): string {
    return folders(this.config).nats;
  }

  /** Waits for a line of a process's log that holds all of the texts. */
  async logged(child: Stages, ...texts: string[]): Promise<string> {
    return this.until(`a line with ${texts.join(", ")} in the log`, async () =>
      (await readFile(child.log, "utf8")).split("\n").find((line) => texts.every((text) => line.includes(text))),
    );
  }
}

function endpointOf(
  options: MarketOptions,
  firstSlot: number,
  released: Promise<void>,
): Omit<ReplayOptions, "recording"> {
  const { blocksPerSecond = 0, hold, faults = [], token = null } = options;
  const { from = Number.POSITIVE_INFINITY, to = Number.POSITIVE_INFINITY } = hold ?? {};
  return {
    ...{
      host: "127.0.0.1",
      port: 0,
      gzip: true,
      endAtEof: false,
      chain: SOLANA,
      progressMs: 1_000,
      world: systemWorld,
    },
    // A message of v4 may hold blocks of both sides of where they are held back.
    protocols: hold === undefined ? ["v4", "v3", "v2"] : ["v3", "v2"],
    ...{ blocksPerSecond, requireToken: token, plan: faults.map(parseFault) },
    async faults({ kind, slots }) {
      const slot = slots[0]! - firstSlot;
      if (kind === "blocks" && slot >= from && slot < to) await released;
      return true;
    },
  };
}

async function lastWords(child: Stages): Promise<string> {
  if (child.exitCode === null) return "";
  const log = (await readFile(child.log, "utf8")).trimEnd().split("\n");
  return [`process ${child.pid} ended with ${child.exitCode}:`, ...log.slice(-8)].join("\n  ");
}

async function unlessSilent<T>(ask: () => Promise<T> | T, silent: T): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    if (error instanceof Transient) return silent;
    throw error;
  }
}

/**
 * Where a chain that begins after `start` does not go on from the message before, or has a block twice that was not taken
 * back in between.
 */
export function breaksOf(links: readonly Link[], start: BlockRef | null = null): string[] {
  const held: BlockRef[] = [];
  const breaks: string[] = [];
  let before = start;
  for (const link of links) {
    if (!sameBlock(link.prev, before)) breaks.push(`${formatBlock(link.prev)} after ${formatBlock(before)}`);
    for (const block of link.blocks) {
      if (held.some((other) => sameBlock(other, block))) breaks.push(`${formatBlock(block)} again`);
      held.push(block);
    }
    if (link.kind === "undo") while (held.length > 0 && held.at(-1)!.slot > link.next.slot) held.pop();
    before = link.next;
  }
  return breaks;
}

function flagsOf(settings: readonly string[]): Record<string, string> {
  return Object.fromEntries(settings.map((s) => [s.slice(0, s.indexOf("=")), s.slice(s.indexOf("=") + 1)]));
}
