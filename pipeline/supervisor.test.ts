/**
 * Goal: a supervisor that is asked to stop does, at whatever moment; what fails is tried again as its error deserves, and
 * is seen to have failed meanwhile. Method: leases in memory that answer when the test lets them, and units that do as the
 * test says, on a virtual clock where time has to pass.
 */
import { describe, expect, test } from "bun:test";
import { VirtualClock } from "../test/sim/clock.ts";
import { Server } from "../test/sim/server.ts";
import type { Bucket, Entry } from "./buckets.ts";
import { loadConfig } from "./config.ts";
import { Control, type UnitReport } from "./control.ts";
import { Fatal, Shutdown, Transient } from "./errors.ts";
import { Lease } from "./leases.ts";
import { silentLog } from "./log.ts";
import { Supervisor } from "./supervisor.ts";
import type { UnitContext } from "./unit.ts";
import { systemWorld, type World } from "./world.ts";

/** A bucket in memory; `beforeCreate` is waited for before a key is made. */
function memoryBucket(beforeCreate: () => Promise<void>): Bucket {
  const entries = new Map<string, Entry>();
  let revision = 0;
  const put = async (key: string, value: Uint8Array) => {
    const text = Buffer.from(value).toString();
    entries.set(key, { revision: ++revision, operation: "PUT", string: () => text, json: () => JSON.parse(text) });
    return revision;
  };
  return {
    put,
    update: put,
    get: async (key) => entries.get(key) ?? null,
    create: async (key, value) => {
      await beforeCreate();
      return put(key, value);
    },
    delete: async (key) => void entries.delete(key),
    keys: async () =>
      (async function* () {
        yield* entries.keys();
      })(),
  };
}

const DEFAULTS = loadConfig({}).values;

function supervise(beforeCreate: () => Promise<void>, run: (context: UnitContext) => Promise<void>): Supervisor {
  return supervised(controlInMemory(beforeCreate), run, systemWorld);
}

function controlInMemory(beforeCreate: () => Promise<void>): Control {
  const buckets = new Map<string, Bucket>();
  const kv = (name: string) => {
    const bucket = buckets.get(name) ?? memoryBucket(name.endsWith("_leases") ? beforeCreate : async () => undefined);
    buckets.set(name, bucket);
    return bucket;
  };
  return new Control({ kv }, "test");
}

function supervised(
  control: Control,
  run: (context: UnitContext) => Promise<void>,
  world: World,
  node = "a",
  leaseTtlMs = 2_000,
): Supervisor {
  return new Supervisor({
    ...{ node, version: "0", stages: ["decode"], world, control, log: silentLog, leaseTtlMs },
    units: [{ name: "decode.main", stage: "decode", source: "main", inputStream: null, outputStream: null, run }],
    purge: async () => undefined,
    prepare: async () => undefined,
  });
}

const untilAborted = ({ signal }: UnitContext) =>
  new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
  });

test("asked while a unit waits for its lease", async () => {
  const stop = new AbortController();
  const supervisor = supervise(async () => stop.abort(), untilAborted);
  await supervisor.run(stop.signal);
  expect(stop.signal.aborted).toBeTrue();
}, 300_000);

test("asked while a unit runs, and before anything has begun", async () => {
  for (const running of [true, false]) {
    const stop = new AbortController();
    let ran = 0;
    const supervisor = supervise(
      async () => undefined,
      async (context) => {
        ran++;
        setTimeout(() => stop.abort(), 0);
        await untilAborted(context);
      },
    );
    if (!running) stop.abort();
    await supervisor.run(stop.signal);
    expect(ran).toBe(running ? 1 : 0);
  }
}, 300_000);

function virtualWorld(clock: VirtualClock): World {
  return {
    now: () => 1_000_000 + clock.now,
    monotonic: () => clock.now,
    random: () => 0,
    sleep: (ms, signal) => clock.sleep(ms, signal),
  };
}

/** Key-value buckets whose entries end when the clock says so. */
function virtualControl(clock: VirtualClock): Control {
  const server = new Server(clock, true, () => undefined);
  const kv = (name: string, ttlMs = 0): Bucket => ({
    get: async (key) => server.get(name, ttlMs, key),
    put: async (key, value) => server.put(name, ttlMs, key, value, null),
    create: async (key, value) => server.put(name, ttlMs, key, value, 0),
    update: async (key, value, revision) => server.put(name, ttlMs, key, value, revision),
    delete: async (key, revision) => server.delete(name, ttlMs, key, revision ?? null),
    keys: async () =>
      (async function* () {
        yield* server.keys(name, ttlMs);
      })(),
  });
  return new Control({ kv }, "test");
}

describe("two nodes", () => {
  /** Runs the unit on two nodes; whose turn it is and when it began, in the order of the runs. */
  async function two(run: (node: string, context: UnitContext) => Promise<void>, ttlMs = DEFAULTS["lease.ttlMs"]) {
    const clock = new VirtualClock();
    const control = virtualControl(clock);
    const dead = new Set<string>();
    const runs: { node: string; at: number }[] = [];
    for (const node of ["a", "b"]) {
      // Of a dead process, nothing goes on: its timers never fire.
      const world = virtualWorld(clock);
      const sleep: World["sleep"] = async (ms, signal) => {
        await clock.sleep(ms, signal);
        if (dead.has(node)) await new Promise<never>(() => undefined);
      };
      const work = (context: UnitContext) => {
        runs.push({ node, at: clock.now });
        return run(node, context);
      };
      void supervised(control, work, { ...world, sleep }, node, ttlMs).run(new AbortController().signal);
    }
    await clock.run(10_000);
    return { clock, control, runs, dead, ttlMs };
  }

  test("one runs it; when that one dies, the other does within ten seconds, with the default lease", async () => {
    const { clock, runs, dead } = await two((_, context) => untilAborted(context));
    expect(runs).toHaveLength(1);
    const first = runs[0]!.node;
    dead.add(first);
    const diedAt = clock.now;
    await clock.run(diedAt + 30_000);
    expect(runs).toHaveLength(2);
    expect(runs[1]!.node).not.toBe(first);
    expect(runs[1]!.at - diedAt).toBeLessThanOrEqual(10_000);
  });

  test("a run that does not end though its lease is lost keeps nobody from going on, and is given up", async () => {
    let first: string | null = null;
    const { clock, control, runs, ttlMs } = await two((node, context) => {
      const hangs = first === null;
      first ??= node;
      return hangs ? new Promise(() => undefined) : untilAborted(context);
    });
    expect(runs.map((r) => r.node)).toEqual([first!]);
    await control.leases(ttlMs).put("decode.main", new TextEncoder().encode("somebody else, who ends at once"));
    await clock.run(clock.now + 20_000);
    // The other one runs it, though the first is still held up.
    expect(runs.map((r) => r.node)).toEqual([first!, first === "a" ? "b" : "a"]);
    const states = async () =>
      Object.fromEntries((await control.nodes()).map((node) => [node.node, node.units[0]!.state]));
    expect((await states())[first!]).toBe("stopped");
    await clock.run(clock.now + 30_000);
    expect((await states())[first!]).not.toBe("stopped");
  });
});

test("a lease that is claimed is handed over, and taken back when it is given up", async () => {
  const clock = new VirtualClock();
  const control = virtualControl(clock);
  const runs: number[] = [];
  const supervisor = supervised(
    control,
    (context) => {
      runs.push(clock.now);
      return untilAborted(context);
    },
    virtualWorld(clock),
  );
  const stop = new AbortController();
  const running = supervisor.run(stop.signal);
  await clock.run(5_000);
  expect(runs).toHaveLength(1);
  const bucket = control.leases(2_000);
  const other = { bucket, node: "b", ttlMs: 2_000, world: virtualWorld(clock), isFirstInLine: () => true };
  const lease = new Lease("decode.main", other);
  const claiming = lease.claim(10_000, stop.signal);
  for (let at = 5_500; at <= 15_000; at += 500) {
    await clock.run(at);
    if (lease.held) await lease.renew();
  }
  await claiming;
  expect(lease.held).toBe(true);
  expect(runs).toHaveLength(1);
  await lease.release();
  await clock.run(20_000);
  expect(runs).toHaveLength(2);
  const third = new Lease("decode.main", { ...other, node: "c", isFirstInLine: () => true });
  await bucket.put("decode.main", new TextEncoder().encode("somebody who hangs"));
  const refused = third.claim(1_000, stop.signal).catch((error) => error.code);
  await clock.run(22_000);
  expect(await refused).toBe("LEASE_HELD");
  stop.abort(new Shutdown());
  await clock.run(30_000);
  await running;
});

test("the end is there when all units have come to it; of a range without blocks, when ingest says so and nobody has any", async () => {
  const clock = new VirtualClock();
  const stop = new AbortController();
  const said = new Map<string, UnitContext>();
  const run = async (context: UnitContext) => {
    said.set(context.unit, context);
    await untilAborted(context);
  };
  const supervisor = supervised(virtualControl(clock), run, virtualWorld(clock));
  supervisor.add([
    { name: "ingest.main", stage: "ingest", source: "main", inputStream: null, outputStream: null, run },
  ]);
  const running = supervisor.run(stop.signal);
  const overAfter = async (change: (unit: { ingest: UnitContext; decode: UnitContext }) => void) => {
    change({ ingest: said.get("ingest.main")!, decode: said.get("decode.main")! });
    await clock.run(clock.now + 3_000);
    return supervisor.allOver;
  };
  await clock.run(5_000);
  const block = { slot: 7, hash: "seven" };
  expect(await overAfter(() => undefined)).toBe(false);
  expect(await overAfter(({ ingest }) => ingest.setEnded(null))).toBe(true);
  // Somebody has something from before: then the end is not that nothing was there.
  const position = { ...block, cursor: "c", moduleHash: "m" };
  expect(await overAfter(({ decode }) => Object.assign(decode.metrics, { position }))).toBe(false);
  expect(await overAfter(({ ingest }) => ingest.setEnded(block))).toBe(false);
  expect(await overAfter(({ decode }) => decode.setEnded(block))).toBe(true);
  stop.abort(new Shutdown());
  await clock.run(clock.now + 60_000);
  await running;
});

describe("what fails for good", () => {
  /** Lets a unit run that fails as the script says, then works; tells when it was run and how it was reported. */
  class Failing {
    readonly runs: number[] = [];
    readonly clock = new VirtualClock();
    readonly control = virtualControl(this.clock);
    readonly supervisor: Supervisor;
    private readonly stop = new AbortController();
    private ended: Promise<void> | null = null;

    constructor(errors: readonly Error[], work: (context: UnitContext) => void = () => undefined) {
      const run = async (context: UnitContext) => {
        this.runs.push(Math.round(this.clock.now / 1000));
        const error = errors[this.runs.length - 1];
        if (error !== undefined) throw error;
        work(context);
        await untilAborted(context);
      };
      this.supervisor = supervised(this.control, run, virtualWorld(this.clock));
    }

    /** Until then, in seconds; gives the report of that moment. */
    async at(seconds: number): Promise<UnitReport> {
      this.ended ??= this.supervisor.run(this.stop.signal);
      await this.clock.run(seconds * 1000);
      return (await this.control.nodes())[0]!.units[0]!;
    }

    async end(): Promise<void> {
      this.stop.abort(new Shutdown());
      await this.clock.run(this.clock.now + 60_000);
      await this.ended;
    }
  }

  const wrong = new Fatal("FILE_WRONG", "a file was wrong when read back");

  test("is tried again by itself, ever more rarely, and never gives up", async () => {
    const unit = new Failing(Array.from({ length: 100 }, () => wrong));
    await unit.at(3_700);
    const waits = unit.runs.slice(1).map((at, i) => at - unit.runs[i]!);
    for (const [i, least] of [15, 30, 60, 120, 240, 480, 600, 600, 600].entries()) {
      // It looks once a second whether it is time.
      expect(waits[i]!).toBeGreaterThanOrEqual(least - 1);
      expect(waits[i]!).toBeLessThanOrEqual(least + 3);
    }
    await unit.end();
  });

  test("is shown as failed, with the reason, until it has got somewhere", async () => {
    const unit = new Failing([wrong, wrong], ({ metrics }) => {
      unit.clock.at(unit.clock.now + 5_000, () => {
        metrics.sentBatches++;
      });
    });
    expect(await unit.at(10)).toMatchObject({ state: "failed", since: 1_000_000 });
    // The third run is under way, and has done nothing yet.
    const trial = await unit.at(50);
    expect(unit.runs).toHaveLength(3);
    expect(trial).toMatchObject({ state: "failed", since: 1_000_000 });
    expect(trial.errors.at(-1)).toMatchObject({ code: "FILE_WRONG" });
    expect((await unit.at(60)).state).toBe("running");
    await unit.end();
  });

  test("works again also when there is nothing to do", async () => {
    const unit = new Failing([wrong]);
    expect((await unit.at(60)).state).toBe("failed");
    expect((await unit.at(90)).state).toBe("running");
    await unit.end();
  });

  test("is not tried again by itself where each try does harm; at once when a start is asked for", async () => {
    const unit = new Failing([new Fatal("FLOOD", "too much is wrong", { retry: "when asked" })]);
    expect((await unit.at(4_000)).state).toBe("failed");
    expect(unit.runs).toHaveLength(1);
    await unit.control.setDesired("main", { running: true, at: 1_000_000 + unit.clock.now });
    expect((await unit.at(4_003)).state).toBe("running");
    expect(unit.runs).toHaveLength(2);
    await unit.end();
  });

  test("before it ever worked: there is nothing for the process to do; else it stays, and what passes is not fatal", async () => {
    const never = new Failing([wrong]);
    await never.at(5);
    expect(never.supervisor.allFailed).toBeTrue();
    await never.end();

    const once = new Failing([new Transient("NET", "gone")], ({ metrics }) => {
      metrics.sentBatches++;
      throw wrong;
    });
    expect((await once.at(10)).errors.map((e) => e.code)).toEqual(["NET", "FILE_WRONG"]);
    expect(once.supervisor.allFailed).toBeFalse();
    await once.end();
  });

  test("who waits for the end hears that it cannot come, once a second look has failed as well", async () => {
    const never = new Failing([wrong, wrong]);
    await never.at(10);
    expect([never.supervisor.anyStuck, never.supervisor.allOver]).toEqual([false, false]);
    await never.at(25);
    expect([never.supervisor.anyStuck, never.supervisor.allOver]).toEqual([true, true]);
    await never.end();

    const later = new Failing([wrong]);
    await later.at(90);
    expect([later.supervisor.anyStuck, later.supervisor.allOver]).toEqual([false, false]);
    await later.end();
  });

  test("however long its reasons are, the report of its process is one that the server takes", async () => {
    const endless = Array.from({ length: 30 }, () => new Transient("NET", "x".repeat(60_000)));
    const unit = new Failing(endless);
    const report = await unit.at(300);
    expect(report.errors).toHaveLength(20);
    expect(JSON.stringify(report).length).toBeLessThan(100_000);
    await unit.end();
  });

  test("units that are offered later run beside the others, and end with them", async () => {
    const first = new Failing([]);
    await first.at(5);
    const runs: string[] = [];
    const run = async (context: UnitContext) => {
      runs.push(context.unit);
      await untilAborted(context);
    };
    const more = { stage: "decode", source: "late", inputStream: null, outputStream: null, run };
    first.supervisor.add([{ ...more, name: "decode.late" }]);
    await first.at(10);
    expect(runs).toEqual(["decode.late"]);
    const units = (await first.control.nodes())[0]!.units.map(({ unit, state }) => `${unit} ${state}`);
    expect(units).toEqual(["decode.main running", "decode.late running"]);
    await first.end();
  });
});
