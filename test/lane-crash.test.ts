/**
 * Goal: a lane that is killed at any moment has every commit it reported and no half of another; one that slept while
 * another took over writes nothing. Method: real processes, SIGKILL and SIGSTOP at odd moments, dumps against an
 * undisturbed run of the same script.
 */
import { Database } from "bun:sqlite";
import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Transient } from "../pipeline/errors.ts";
import { CATALOG } from "../stages/sync/lane-fixture.ts";
import { HotStore } from "../storage/hot/store.ts";
import { lines as dumpOf } from "../storage/hot/store-fixture.ts";
import { freeze } from "./freeze.ts";
import { lastAction, perform } from "./lane-script.ts";

const KILLS = 8;

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "sluice-lane-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

interface Child {
  readonly process: Bun.Subprocess;
  /** Waits for the next line; null at the end of the output. */
  next(): Promise<string | null>;
}

function start(file: string): Child {
  const child = Bun.spawn([process.execPath, join(import.meta.dir, "lane-child.ts"), file], { stderr: "inherit" });
  const lines = linesOf(child.stdout);
  return { process: child, next: async () => (await lines.next()).value ?? null };
}

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  let rest = "";
  const decoder = new TextDecoder();
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk)).split("\n");
    rest = lines.pop()!;
    yield* lines;
  }
}

/** The content after the script's actions up to `last`, without any disturbance. */
async function undisturbed(last: number): Promise<string[]> {
  const store = new HotStore({ file: join(folder, `clean-${last}.sqlite`), catalog: CATALOG });
  await store.open();
  for (let n = 0; n <= last; n++) await perform(store, n);
  const dump = dumpOf(store);
  await store.close();
  return dump;
}

function integrity(file: string): unknown {
  const db = new Database(file);
  const result = db.query("PRAGMA integrity_check").values();
  db.close(true);
  return result;
}

test("killed at odd moments, it goes on from what it reported", async () => {
  const file = join(folder, "lane.sqlite");
  let reported = -1;
  for (let kill = 0; kill < KILLS; kill++) {
    const child = start(file);
    const upTo = reported + 1 + kill * 3;
    for (let line = await child.next(); line !== null; line = await child.next()) {
      reported = Number(line);
      if (reported >= upTo) break;
    }
    // Somewhere within the next commits, not always at the same point of one.
    await Bun.sleep(kill * 1.7);
    child.process.kill("SIGKILL");
    for (let line = await child.next(); line !== null; line = await child.next()) reported = Number(line);
    await child.process.exited;
    expect(reported).toBeGreaterThanOrEqual(upTo);
    expect(integrity(file)).toEqual([["ok"]]);
  }
  const store = new HotStore({ file, catalog: CATALOG });
  const last = lastAction((await store.open())!.position);
  // What was durable but not yet reported when it died: one action at most.
  expect(last === reported || last === reported + 1).toBe(true);
  expect(dumpOf(store)).toEqual(await undisturbed(last));
  await store.close();
}, 300_000);

test("a lane that slept while another took over is fenced and writes nothing", async () => {
  const file = join(folder, "lane.sqlite");
  const child = start(file);
  for (let n = 0; n < 5; n++) expect(await child.next()).toBe(`${n}`);
  const store = new HotStore({ file, catalog: CATALOG, limits: { busyTimeoutMs: 50 } });
  let last = -1;
  for (let tries = 0; ; tries++) {
    await freeze(child.process.pid);
    try {
      last = lastAction((await store.open())!.position);
      break;
    } catch (error) {
      // It was stopped in the middle of a commit and holds the lock: let it finish.
      if (!(error instanceof Transient) || tries === 50) throw error;
      child.process.kill("SIGCONT");
      await Bun.sleep(3 + 5 * tries);
    }
  }
  await perform(store, last + 1);
  child.process.kill("SIGCONT");
  const said: string[] = [];
  for (let line = await child.next(); line !== null; line = await child.next()) said.push(line);
  expect(said.at(-1)).toBe("fenced");
  expect(said.slice(0, -1).every((line) => Number(line) <= last)).toBe(true);
  await perform(store, last + 2);
  expect(dumpOf(store)).toEqual(await undisturbed(last + 2));
  await store.close();
}, 300_000);
