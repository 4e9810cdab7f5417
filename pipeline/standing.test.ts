/** Where a rebuilt stream begins. Goal: at the lowest of its consumers, knowing of the chain what that one knows. */
import { expect, test } from "bun:test";
import type { Standing } from "./control.ts";
import { Shutdown } from "./errors.ts";
import { silentLog } from "./log.ts";
import { blockOf, positionOf } from "./nats-fixture.ts";
import { lowest, lowestStanding } from "./standing.ts";
import type { World } from "./world.ts";

const standing = (slot: number | null, more: Partial<Standing> = {}): Standing => ({
  position: slot === null ? null : positionOf(slot),
  ...{ finalSlot: 0, inputSeq: 77, at: 0 },
  ...more,
});

test("the lowest position, with what its output remembers; its hint is into another stream", () => {
  const recent = [blockOf(3), blockOf(5)];
  const head = lowest([standing(9), standing(5, { finalSlot: 3, recent }), standing(7)]);
  expect(head).toEqual({ position: positionOf(5), finalSlot: 3, recent, inputSeq: 0 });
});

test("the position alone, where nothing is told of what is remembered", () => {
  expect(lowest([standing(5)])!.recent).toEqual([blockOf(5)]);
});

test("the beginning, when one of them is empty or there is none", () => {
  expect(lowest([standing(9), standing(null)])).toBeNull();
  expect(lowest([])).toBeNull();
});

/** Time passes only when somebody sleeps. */
function virtual(onSleep: (now: number) => void): World {
  let now = 0;
  return {
    now: () => now,
    monotonic: () => now,
    random: () => 0,
    async sleep(ms, signal) {
      now += ms;
      onSleep(now);
      if (signal?.aborted) throw signal.reason;
    },
  };
}

test("it waits for those who have not spoken yet, but not for ever", async () => {
  const told = new Map([["a", standing(9)]]);
  const control = { standing: async (unit: string) => told.get(unit) ?? null };
  const signal = new AbortController().signal;
  const late = virtual((now) => now > 2_000 && told.set("b", standing(5)));
  expect((await lowestStanding({ control, world: late, log: silentLog }, ["a", "b"], signal))!.position.slot).toBe(5);
  const never = virtual(() => undefined);
  const without = await lowestStanding({ control, world: never, log: silentLog }, ["a", "c"], signal);
  expect(without!.position.slot).toBe(9);
});

test("it ends when it is asked to", async () => {
  const stop = new AbortController();
  const world = virtual(() => stop.abort(new Shutdown()));
  const control = { standing: async () => null };
  await expect(lowestStanding({ control, world, log: silentLog }, ["a"], stop.signal)).rejects.toBeInstanceOf(Shutdown);
});
