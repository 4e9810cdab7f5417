/**
 * Goal: who asks for a lane that is not here is told why, and whether to come back or to ask elsewhere. Method: two lanes of
 * which none, then one has a file; what leaves the API of the error.
 */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { silentLog } from "../../pipeline/log.ts";
import { laneFile } from "../../storage/hot/file.ts";
import { HotStore } from "../../storage/hot/store.ts";
import { publicError } from "../errors.ts";
import { HotLanes } from "./hot-lanes.ts";

const LANES = 2;
let folder: string;
let lanes: HotLanes;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "hot-lanes-"));
  lanes = new HotLanes({ folder, lanes: LANES, world: { monotonic: () => 0 } });
});
afterEach(() => {
  lanes.close();
  rmSync(folder, { recursive: true, force: true });
});

function told(action: () => unknown) {
  try {
    action();
  } catch (error) {
    const { status, code, message, retryAfterSeconds } = publicError(error, silentLog, "id");
    expect(message).not.toContain(folder);
    return { status, code, message, retryAfterSeconds };
  }
  return null;
}

test("before indexing has begun: that, and to come back soon", () => {
  const expected = {
    ...{ status: 503, code: "HOT_MISSING", retryAfterSeconds: 2 },
    message: "nothing is indexed on this host yet: `sluice stages` begins",
  };
  expect(told(() => lanes.everyLane())).toEqual(expected);
  expect(told(() => lanes.ofMint(new Uint8Array(32)))).toEqual(expected);
  expect(lanes.all()).toEqual([]);
});

test("where others run the lane: which one it is, and to ask there", async () => {
  const store = new HotStore({ file: laneFile(folder, 0), lane: { lane: 0, lanes: LANES }, catalog: new Map() });
  await store.open();
  const expected = {
    ...{ status: 503, code: "LANE_ELSEWHERE", retryAfterSeconds: 30 },
    message: "lane 1 of 2 is needed for this and is not on this host: ask the API of the host that runs it",
  };
  expect(told(() => lanes.everyLane())).toEqual(expected);
  const mints = Array.from({ length: 16 }, (_, n) => new Uint8Array(32).fill(n));
  const answers = mints.map((mint) => told(() => lanes.ofMint(mint)));
  expect(answers.filter((answer) => answer === null).length).toBeGreaterThan(0);
  for (const answer of answers) if (answer !== null) expect(answer).toEqual(expected);
  expect(answers).toContainEqual(expected);
  expect(lanes.all().length).toBe(1);
  await store.close();
});
