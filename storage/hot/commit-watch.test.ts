/**
 * Goal: whoever reads beside the writer takes nothing from it. Method: the locks that the kernel knows this process to hold
 * on the lane's files, before and after readers of the same process were opened, asked and closed.
 */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { readFileSync, statSync } from "node:fs";
import { HotReader } from "./reader.ts";
import type { HotStore } from "./store.ts";
import { Lane } from "./store-fixture.ts";

let lane: Lane;
let store: HotStore;
beforeEach(async () => {
  lane = new Lane();
  store = await lane.opened();
});
afterEach(async () => {
  await store.close();
  lane.dispose();
});

/**
 * Of this process on the lane's files: kind, file and range. The kernel's list of all locks will not do: it is read in pieces,
 * and whatever other processes lock meanwhile shifts it.
 */
function locks(): string[] {
  const inodes = ["", "-shm"].map((end) => statSync(lane.file + end).ino);
  const ours = descriptors().filter((fd) => inodes.includes(inodeOf(fd) ?? 0));
  const lines = ours.flatMap((fd) => readFileSync(`/proc/self/fdinfo/${fd}`, "utf8").split("\n"));
  const told = lines.flatMap((line) => {
    const [what, , , , kind, , file, ...range] = line.split(/\s+/);
    return what === "lock:" ? [`${kind} ${file} ${range.join("-")}`] : [];
  });
  // Each descriptor of a file tells of all its locks.
  return [...new Set(told)].sort();
}

test("a reader that is closed leaves the writer its locks, so that no other process empties the log's index", async () => {
  await lane.commit(store, [{ slot: 1, notes: [{}] }]);
  const held = locks();
  expect(held.length).toBe(2);
  const reader = new HotReader(lane.file);
  const before = reader.version();
  await lane.commit(store, [{ slot: 2, notes: [{}] }]);
  expect(reader.version()).not.toBe(before);
  reader.close();
  expect(locks()).toEqual(held);
});

test("however many readers watch a file, it is open for that once", async () => {
  await lane.commit(store, [{ slot: 1, notes: [{}] }]);
  const readers = Array.from({ length: 20 }, () => new HotReader(lane.file));
  for (const reader of readers) reader.version();
  const watching = descriptors().filter((fd) => inodeOf(fd) === statSync(`${lane.file}-shm`).ino);
  // That of SQLite, and ours.
  expect(watching.length).toBe(2);
  for (const reader of readers) reader.close();
});

const descriptors = () => [...new Bun.Glob("*").scanSync({ cwd: "/proc/self/fd", onlyFiles: false })];

function inodeOf(descriptor: string): number | undefined {
  return statSync(`/proc/self/fd/${descriptor}`, { throwIfNoEntry: false })?.ino;
}
