/**
 * Goal: a copy of a hot store is of one moment, whole, and says where it stands, while its owner writes on. Method: a real store
 * is copied before and after it has moved on; copies are compared by their dump; copies that cannot be are refused and gone.
 */
import { afterEach, expect, test } from "bun:test";
import { existsSync, readdirSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { SluiceError } from "../../pipeline/errors.ts";
import { copyHotStore } from "./backup.ts";
import { Lane, lines } from "./store-fixture.ts";

let lane = new Lane();
const place = (name: string) => join(dirname(lane.file), "backup", name);
afterEach(() => {
  lane.dispose();
  lane = new Lane();
});

function refusal(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    return (error as SluiceError).code;
  }
  return "";
}

test("of one moment, while the owner writes on", async () => {
  const store = await lane.opened();
  await lane.commit(store, [
    { slot: 1, notes: [{ mint: 1 }] },
    { slot: 2, notes: [{ mint: 2 }] },
  ]);
  const then = lines(store);
  const copy = copyHotStore(lane.file, place("a.sqlite"));
  await lane.commit(store, [{ slot: 3, notes: [{ mint: 3 }] }]);
  expect(copy).toMatchObject({ slot: 2, file: place("a.sqlite") });
  expect(copy.bytes).toBeGreaterThan(8_192);
  expect(lines({ name: copy.file })).toEqual(then);
  expect(lines(store)).not.toEqual(then);
  expect(copyHotStore(lane.file, place("b.sqlite")).slot).toBe(3);
  expect(lines({ name: place("b.sqlite") })).toEqual(lines(store));
  await store.close();
});

test("a copy that was put in the place of the file goes on from where it stands", async () => {
  const store = await lane.opened();
  await lane.commit(store, [{ slot: 1, notes: [{ mint: 1 }] }]);
  const { file } = copyHotStore(lane.file, place("a.sqlite"));
  const rest = [{ slot: 2, notes: [{ mint: 1 }] }];
  await lane.commit(store, rest);
  const whole = lines(store);
  await store.close();
  for (const end of ["", "-wal", "-shm"]) rmSync(lane.file + end, { force: true });
  writeFileSync(lane.file, await Bun.file(file).bytes());
  const restored = await lane.opened();
  expect(lane.prev?.slot).toBe(1);
  await lane.commit(restored, rest);
  expect(lines(restored)).toEqual(whole);
  await restored.close();
});

test("an empty lane, one that is not there, a name that is taken", async () => {
  const store = await lane.opened();
  expect(copyHotStore(lane.file, place("a.sqlite")).slot).toBeNull();
  await store.close();
  expect(refusal(() => copyHotStore(`${lane.file}.nowhere`, place("b.sqlite")))).toBe("HOT_MISSING");
  expect(refusal(() => copyHotStore(lane.file, place("a.sqlite")))).toBe("HOT_BACKUP");
  expect(existsSync(place("a.sqlite"))).toBe(true);
});

test("of a damaged file no copy is left", async () => {
  const store = await lane.opened();
  await lane.commit(store, [{ slot: 1, notes: [{ mint: 1 }] }]);
  await store.close();
  truncateSync(lane.file, 20_000);
  expect(refusal(() => copyHotStore(lane.file, place("a.sqlite")))).toBe("HOT_BACKUP");
  expect(existsSync(dirname(place("x"))) ? readdirSync(dirname(place("x"))) : []).toEqual([]);
});
