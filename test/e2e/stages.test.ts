/**
 * Goal: `sluice stages` in any number of processes is one pipeline. However its units are spread, killed, stopped and
 * started again, hot stores and lake hold exactly the truth in the end. Method: real processes on one data folder; what
 * happened is read in reports, streams and logs, what is stored is held against the simulator's truth.
 */
import { describe, expect, test } from "bun:test";
import { writeFile } from "node:fs/promises";
import { Package } from "@substreams/core/proto";
import { sameBlock } from "../../pipeline/position.ts";
import { buildDemoPackage } from "../../simulator/index.ts";
import { processesOf, useGround } from "./ground.ts";
import { breaksOf, Market } from "./market.ts";

const ground = useGround();
const FAST = ["lease.ttlMs=2000", "archive.rollSeconds=20"];

test("stages in processes of their own, four lanes; one of them restarted after the end ends again", async () => {
  const market = await Market.open(ground, { blocks: 300, seed: 11, settings: [...FAST, "lanes=4"] });
  market.start(["ingest"]);
  const middle = market.start(["decode", "shard"]);
  const last = market.start(["lane", "archive", "janitor"]);
  await market.ended();

  middle.kill("SIGKILL");
  await middle.exited;
  const again = market.start(["decode", "shard"]);
  await market.until("decode and shard in the new process", async () => {
    const held = (await market.held()).filter((unit) => unit.pid === again.pid);
    return held.length === 2 && held.every((unit) => unit.ended);
  });
  expect(await again.stop()).toBe(0);
  expect(await last.stop()).toBe(0);
  expect(await market.differences()).toEqual([]);
}, 300_000);

test("a process that is killed: the other holds all units soon, and nothing is lost or doubled", async () => {
  const settings = ["lanes=4", "archive.rollSeconds=20"];
  const market = await Market.open(ground, { blocks: 700, seed: 12, blocksPerSecond: 50, settings });
  const all = ["ingest.main", "decode.main", "shard.main", "archive.main", "janitor.main"];
  for (const lane of [0, 1, 2, 3]) all.push(`lane.main.${lane}`);
  const held = async (pid: number) => (await market.held()).filter((u) => u.pid === pid && u.state === "running");
  // The names decide who holds what: with these, two lanes each. By chance, one in eight pairs of names gives all to one.
  const processes = ["one", "two"].map((name) => market.start(["--node", name]));
  await market.until("units shared by two processes, at work", async () => {
    const shares = await Promise.all(processes.map(({ pid }) => held(pid)));
    const moving = shares.flat().filter((u) => u.metrics.position !== null).length >= all.length - 1;
    return shares.every((units) => units.some((u) => u.stage === "lane")) && moving;
  });

  const [victim, survivor] = processes as [(typeof processes)[0], (typeof processes)[0]];
  victim.kill("SIGKILL");
  const killedAt = performance.now();
  const taken = await market.until("all units in the survivor", async () => {
    const units = await held(survivor.pid);
    return units.length === all.length && units;
  });
  // That it takes ten seconds at most is shown on a virtual clock, beside the supervisor.
  process.stderr.write(`taken over after ${((performance.now() - killedAt) / 1000).toFixed(1)} s\n`);
  expect(taken.map((u) => u.unit).sort()).toEqual(all.sort());

  await market.ended();
  expect(await survivor.stop()).toBe(0);
  expect(await market.differences()).toEqual([]);
}, 300_000);

test("SIGTERM under load: ends with exit code 0; the next start goes on from there and exits at the end", async () => {
  const market = await Market.open(ground, {
    blocks: 600,
    seed: 13,
    blocksPerSecond: 150,
    hold: { from: 400 },
    settings: FAST,
  });
  const first = market.start();
  await market.unit("lane.main.0", "at work", (unit) => unit.metrics.sentBlocks > 50);
  first.kill("SIGTERM");
  expect(await first.exited).toBe(0);
  const stored = await market.links("blocks");
  const stoodAt = stored.at(-1)!.next;
  expect(stoodAt.slot).toBeLessThan(market.truth.chain.lastSlot);

  market.release();
  const second = market.start(["--exit-at-end"]);
  const session = await market.logged(second, "Substreams session");
  expect(JSON.parse(session).resolvedStart).toBeGreaterThan(stoodAt.slot - 64);
  expect(await second.exited).toBe(0);
  // What is in the spool was asked for once: the chain goes on where it stood, without a break or a repeat.
  const links = await market.links("blocks");
  expect(links.slice(0, stored.length)).toEqual(stored);
  expect(sameBlock(links[stored.length]!.prev, stoodAt)).toBeTrue();
  expect(breaksOf(links)).toEqual([]);
  expect(await market.differences()).toEqual([]);

  // Everything is there: a third start has nothing to do, and says so by ending.
  expect(await market.start(["--exit-at-end"]).exited).toBe(0);
  expect(await market.differences()).toEqual([]);
}, 300_000);

describe("a bounded range", () => {
  test("takes final blocks only; another package is refused, and with the policy warn goes on", async () => {
    const market = await Market.open(ground, { blocks: 240, seed: 14, settings: FAST });
    const { firstSlot, lastSlot } = market.truth.chain;
    const half = Math.floor((firstSlot + lastSlot) / 2);
    expect(await market.start(["--exit-at-end"], [`source.stopBlock=${half}`]).exited).toBe(0);
    const stored = await market.links("blocks");
    expect(stored.filter((link) => link.kind === "undo")).toEqual([]);
    expect(breaksOf(stored)).toEqual([]);
    expect(stored.at(-1)!.next.slot).toBeLessThan(half);
    expect(stored.at(-1)!.next.slot).toBeGreaterThan(half - 20);

    const other = await otherPackage(ground.path("other.spkg"));
    const changed = [`source.package=${other}`, `source.stopBlock=${lastSlot + 1}`, "source.finalBlocksOnly=false"];
    const refused = market.start(["ingest"], changed);
    expect(await refused.exited).toBe(1);
    const error = JSON.parse(await market.logged(refused, "MODULE_HASH"));
    expect(error.message).toMatch(/^the module's hash is [0-9a-f]{40}, what is stored came from [0-9a-f]{40}$/);
    expect(error.hint).toContain("source.moduleHashPolicy");
    expect(await market.links("blocks")).toEqual(stored);

    const warned = market.start(["--exit-at-end"], [...changed, "source.moduleHashPolicy=warn"]);
    expect(await warned.exited).toBe(0);
    await market.logged(warned, '"level":"warning"', "the module's hash is");
    expect(breaksOf(await market.links("blocks"))).toEqual([]);
    expect(await market.differences()).toEqual([]);
  }, 300_000);
});

test("nothing is left running when all is over", () => {
  expect(processesOf(ground.folder)).toEqual([]);
});

/** The demo's package with another binary: the same modules, another hash. */
async function otherPackage(path: string): Promise<string> {
  const proto = Package.fromBinary(buildDemoPackage());
  for (const binary of proto.modules!.binaries) binary.content = new Uint8Array([...binary.content, 0]);
  await writeFile(path, proto.toBinary());
  return path;
}
