/**
 * Goal: which generation of a source is read is known without NATS, and comes back when all of NATS was lost. Method: a store
 * of records that forgets, and a data folder.
 */
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadConfig } from "../pipeline/config.ts";
import type { Desired } from "../pipeline/control.ts";
import { classify } from "../pipeline/errors.ts";
import { activate, begin, type Generations, ORIGINAL } from "../pipeline/generations.ts";
import {
  activeConfigs,
  keepGenerations,
  keptGenerations,
  readGenerations,
  runConfigs,
  settleGenerations,
} from "./generations.ts";

const folder = mkdtempSync(join(tmpdir(), "sluice-generations-"));
afterAll(() => rmSync(folder, { recursive: true }));

const { values: config } = loadConfig({ flags: { "data.dir": folder, sources: "[{name: main}, {name: other}]" } });
const settings = { "source.package": "/new.spkg" };
const upgraded = activate(begin(ORIGINAL, { settings, moduleHash: "ab", createdAt: 1 }).after, 2, 50);

function records(known: Record<string, Generations>) {
  return {
    known,
    generations: async (source: string) => known[source] ?? null,
    changeGenerations: async (source: string, change: (now: Generations | null) => Generations) => {
      known[source] = change(known[source] ?? null);
      return known[source];
    },
  };
}

test("nobody has upgraded: the sources as they are", async () => {
  const all = await readGenerations(config, records({}));
  expect(all).toEqual({});
  const names = runConfigs(config, all).map((own) => own["source.name"]);
  expect([names, activeConfigs(config).map((own) => own["source.name"])]).toEqual([
    ["main", "other"],
    ["main", "other"],
  ]);
});

test("all generations are run, the active one is read, also without NATS and after it was lost", async () => {
  await keepGenerations(config, await readGenerations(config, records({ other: upgraded })));
  expect(runConfigs(config, keptGenerations(config)).map((own) => own["source.name"])).toEqual([
    "main",
    "other",
    "other-g2",
  ]);
  const [main, other] = activeConfigs(config);
  expect([main?.["source.name"], other?.["source.name"], other?.["source.package"]]).toEqual([
    "main",
    "other-g2",
    "/new.spkg",
  ]);
  const lost = records({});
  expect(await readGenerations(config, lost)).toEqual({ other: upgraded });
  expect(lost.known).toEqual({ other: upgraded });
});

test("what is recorded counts before what is remembered", async () => {
  const back = activate(upgraded, 1, 60);
  expect(await readGenerations(config, records({ other: back }))).toEqual({ other: back });
});

test("what was read before a swap stands still since then, whoever notices; a later start counts", async () => {
  const wishes: Record<string, Desired> = { other: { running: true, at: 40 } };
  const control = {
    desired: async (source: string) => wishes[source] ?? null,
    setDesired: async (source: string, wish: Desired) => {
      wishes[source] = wish;
    },
  };
  await settleGenerations(config, { main: ORIGINAL, other: upgraded }, control);
  expect(wishes).toEqual({ other: { running: false, at: 50 } });
  wishes["other"] = { running: true, at: 51 };
  await settleGenerations(config, { other: upgraded }, control);
  expect(wishes["other"]).toEqual({ running: true, at: 51 });
  await settleGenerations(config, { other: activate(upgraded, 1, 60) }, control);
  expect(wishes["other-g2"]).toEqual({ running: false, at: 60 });
});

test("a copy that cannot be read is said, with the file", () => {
  writeFileSync(join(folder, "generations.json"), "{");
  try {
    keptGenerations(config);
    throw new Error("it was read");
  } catch (error) {
    expect(classify(error)).toMatchObject({ code: "GENERATIONS_FILE", where: join(folder, "generations.json") });
  }
});
