/**
 * How things are measured here: every contender runs in a process of its own, pinned to one core where that is possible;
 * rounds are interleaved, so that whatever else the machine does hits all of them; the first round is thrown away; and what
 * counts is the ratio within a round, of which the median, the smallest and the largest are reported. A contender whose
 * digest differs from ours has not done the same work and is not compared.
 */
import { readFileSync } from "node:fs";
import { loadavg } from "node:os";
import { Fatal } from "../pipeline/errors.ts";

export interface BenchRow {
  readonly name: string;
  readonly peer: string;
  readonly unit: string;
  /** Medians over the rounds, in `unit`; more is better. */
  readonly ours: number;
  readonly theirs: number;
  /** ours / theirs, round by round: above 1 means that ours is better. */
  readonly ratio_median: number;
  readonly ratio_min: number;
  readonly ratio_max: number;
  /** The most memory that our process held in any round, MiB. */
  readonly peak_rss_mb: number;
}

/** A command whose last line on stdout is what `report` writes. */
export interface Contender {
  readonly name: string;
  readonly command: readonly string[];
}

export interface Comparison {
  readonly name: string;
  /** What is measured, more being better: "MB/s". */
  readonly unit: string;
  readonly ours: Contender;
  readonly peers: readonly Contender[];
  /** Measured rounds; one more is run first and thrown away. Default 7. */
  readonly rounds?: number;
}

interface Measurement {
  readonly value: number;
  readonly digest: string;
  readonly peakRssMb: number;
}

const DEFAULT_ROUNDS = 7;
const MEASURED_MS = 500;
/** Above this, something else is using the machine, and the spread will show it. */
const QUIET_LOAD = 0.3;

export async function compare(comparison: Comparison): Promise<BenchRow[]> {
  const [load = 0] = loadavg();
  if (load > QUIET_LOAD) console.error(`${comparison.name}: load average is ${load.toFixed(2)}, mind the spread`);
  const contenders = [comparison.ours, ...comparison.peers];
  const rounds = (comparison.rounds ?? DEFAULT_ROUNDS) + 1;
  const measured = contenders.map((): Measurement[] => []);
  for (let round = 0; round < rounds; round++) {
    for (const [i, contender] of contenders.entries()) {
      const measurement = await measure(contender);
      requireSameWork(comparison, contender, measurement, measured[0]![0] ?? measurement);
      measured[i]!.push(measurement);
    }
  }
  const [ours, ...theirs] = measured.map((all) => all.slice(1));
  return theirs.map((peer, i) => rowOf(comparison, comparison.peers[i]!.name, ours!, peer));
}

/** Called once, at the end, by the process of a contender. `digest` stands for the result of the work. */
export function report(value: number, digest: string): void {
  console.log(JSON.stringify({ value, digest, peakRssMb: peakRssMb() } satisfies Measurement));
}

/** Runs `pass` until half a second has gone by, at least three times, and returns passes per second. */
export function passesPerSecond(pass: () => void): number {
  const start = performance.now();
  let passes = 0;
  let elapsed = 0;
  while (passes < 3 || elapsed < MEASURED_MS) {
    pass();
    passes++;
    elapsed = performance.now() - start;
  }
  return (passes * 1000) / elapsed;
}

/**
 * The same for work that is waited for, and by the processor time of all threads of the process: what others do to the
 * machine meanwhile, and waiting for the disk, do not count. At least one pass.
 */
export async function passesPerCpuSecond(pass: () => Promise<void>): Promise<number> {
  const start = performance.now();
  const before = process.cpuUsage();
  let passes = 0;
  while (passes === 0 || performance.now() - start < MEASURED_MS) {
    await pass();
    passes++;
  }
  const { user, system } = process.cpuUsage(before);
  return (passes * 1e6) / (user + system);
}

async function measure(contender: Contender): Promise<Measurement> {
  const pin = Bun.which("taskset") === null ? [] : ["taskset", "-c", "0"];
  const child = Bun.spawn([...pin, ...contender.command], { stdout: "pipe", stderr: "inherit" });
  const output = await new Response(child.stdout).text();
  const code = await child.exited;
  if (code !== 0) {
    throw new Fatal("BENCH_CONTENDER", `${contender.name} ended with code ${code}`, {
      where: contender.command.join(" "),
      hint: "Run the command by hand to see why.",
    });
  }
  return JSON.parse(output.trimEnd().split("\n").at(-1)!) as Measurement;
}

function requireSameWork(comparison: Comparison, contender: Contender, found: Measurement, ours: Measurement): void {
  if (found.digest === ours.digest) return;
  throw new Fatal("BENCH_DIGEST", `${contender.name} did not do the same work as ${comparison.ours.name}`, {
    where: `bench ${comparison.name}`,
    hint: `Digest ${found.digest}, expected ${ours.digest}: one of them is wrong, so their speeds mean nothing.`,
  });
}

function rowOf(
  { name, unit }: Comparison,
  peer: string,
  ours: readonly Measurement[],
  theirs: readonly Measurement[],
): BenchRow {
  const ratios = ours.map((measurement, round) => measurement.value / theirs[round]!.value).sort((a, b) => a - b);
  return {
    name,
    peer,
    unit,
    ours: rounded(median(ours.map((m) => m.value))),
    theirs: rounded(median(theirs.map((m) => m.value))),
    ratio_median: rounded(median(ratios)),
    ratio_min: rounded(ratios[0]!),
    ratio_max: rounded(ratios.at(-1)!),
    peak_rss_mb: rounded(Math.max(...ours.map((m) => m.peakRssMb))),
  };
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

function rounded(value: number): number {
  return Number(value.toPrecision(4));
}

/** Highest resident set so far, MiB: VmHWM where the system tells, the present one elsewhere. */
function peakRssMb(): number {
  if (process.platform !== "linux") return process.memoryUsage().rss / 1024 / 1024;
  const [, kilobytes] = /VmHWM:\s+(\d+) kB/.exec(readFileSync("/proc/self/status", "utf8")) ?? [];
  return Number(kilobytes) / 1024;
}
