/** Goal: ratios are taken round by round, and work that differs is not compared. Method: contenders that print. */
import { expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Fatal } from "../pipeline/errors.ts";
import { type Contender, compare } from "./harness.ts";

const saying = (name: string, value: number, digest = "same"): Contender => ({
  name,
  command: ["echo", JSON.stringify({ value, digest, peakRssMb: 10 + value })],
});

test("one row a peer, ours over theirs", async () => {
  const comparison = { name: "b", unit: "x/s", ours: saying("ours", 30), rounds: 2 };
  expect(await compare({ ...comparison, peers: [saying("slow", 10), saying("fast", 60)] })).toEqual([
    {
      name: "b",
      peer: "slow",
      unit: "x/s",
      ours: 30,
      theirs: 10,
      ratio_median: 3,
      ratio_min: 3,
      ratio_max: 3,
      peak_rss_mb: 40,
    },
    {
      name: "b",
      peer: "fast",
      unit: "x/s",
      ours: 30,
      theirs: 60,
      ratio_median: 0.5,
      ratio_min: 0.5,
      ratio_max: 0.5,
      peak_rss_mb: 40,
    },
  ]);
});

test("the first round is thrown away, and the spread is that of the ratios", async () => {
  const folder = await mkdtemp(join(tmpdir(), "bench-harness-"));
  try {
    // Its value is the number of times it has run: 1 (thrown away), 2, 3, 4.
    const count = `printf x >> ${folder}/n; printf '{"value":%d,"digest":"same","peakRssMb":1}' $(wc -c < ${folder}/n)`;
    const ours: Contender = { name: "ours", command: ["sh", "-c", count] };
    const [row] = await compare({ name: "b", unit: "x/s", ours, peers: [saying("one", 1)], rounds: 3 });
    expect([row?.ours, row?.ratio_min, row?.ratio_median, row?.ratio_max]).toEqual([3, 2, 3, 4]);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("a contender that found something else, or failed, is an error", async () => {
  const ours = saying("ours", 1);
  const comparing = (peer: Contender) => compare({ name: "b", unit: "x/s", ours, peers: [peer], rounds: 1 });
  await expect(comparing(saying("other", 1, "different"))).rejects.toThrow(Fatal);
  await expect(comparing({ name: "broken", command: ["sh", "-c", "exit 3"] })).rejects.toThrow("code 3");
});
