/** Goal: what can wait is done in a pause, once, and never in between. Method: a clock that the test turns. */
import { expect, test } from "bun:test";
import { Quiet, whenQuiet } from "./quiet.ts";
import { type Incoming, patient, type Reader } from "./reader.ts";

/** Sleepers wake when the time has come. */
function clock() {
  let now = 0;
  let sleepers: { at: number; wake: () => void; fail: (error: Error) => void }[] = [];
  return {
    monotonic: () => now,
    sleep(ms: number, signal?: AbortSignal) {
      return new Promise<void>((wake, fail) => {
        sleepers.push({ at: now + ms, wake, fail });
        signal?.addEventListener("abort", () => fail(new Error("stopped")));
      });
    },
    async turn(ms: number) {
      for (let i = 0; i < ms; i++) {
        now++;
        const due = sleepers.filter(({ at }) => at <= now);
        sleepers = sleepers.filter(({ at }) => at > now);
        for (const { wake } of due) wake();
        await Bun.sleep(0);
      }
    },
  };
}

test("once after each pause, not while things happen, and not again before they do", async () => {
  const world = clock();
  let acts = 0;
  const { signal } = new AbortController();
  const quiet = whenQuiet({ world, signal, act: () => void acts++, onFailure: () => undefined });
  await world.turn(300);
  expect(acts).toBe(0);
  for (let i = 0; i < 20; i++) {
    quiet.stir();
    await world.turn(20);
  }
  expect(acts).toBe(0);
  await world.turn(300);
  expect(acts).toBe(1);
  quiet.stir();
  await world.turn(300);
  expect(acts).toBe(2);
});

test("a failure is told, and the next pause is another chance; after the end nothing is done", async () => {
  const world = clock();
  const stop = new AbortController();
  const failures: unknown[] = [];
  let acts = 0;
  const act = () => {
    acts++;
    throw new Error("no");
  };
  const quiet = whenQuiet({ world, signal: stop.signal, act, onFailure: (error) => failures.push(error) });
  for (const expected of [1, 2]) {
    quiet.stir();
    await world.turn(200);
    expect([acts, failures.length]).toEqual([expected, expected]);
  }
  quiet.stir();
  stop.abort();
  await world.turn(200);
  expect([acts, failures.length]).toEqual([2, 2]);
});

test("work that can wait waits for a pause, unless there has been none for long", async () => {
  const world = clock();
  const quiet = new Quiet(world);
  await quiet.pause();
  let isPause = false;
  const wait = () => {
    isPause = false;
    void quiet.pause().then(() => {
      isPause = true;
    });
  };
  /** Something happens every 20 ms, for so long. */
  const busyFor = async (ms: number) => {
    for (let i = 0; i < ms; i += 20) {
      quiet.stir();
      await world.turn(20);
    }
  };
  await busyFor(20);
  wait();
  await busyFor(400);
  expect(isPause).toBe(false);
  await world.turn(100);
  expect(isPause).toBe(true);
  quiet.stir();
  wait();
  await busyFor(3_000);
  expect(isPause).toBe(true);
  wait();
  await world.turn(1);
  expect(isPause).toBe(true);
});

test("a patient reader hands on what has come in a pause; while there is none, as it comes", async () => {
  const world = clock();
  const quiet = new Quiet(world);
  const reader: Reader<string> = {
    name: "stream",
    async *read() {
      for (const seq of [1, 2, 3]) yield { seq } as Incoming<string>;
    },
  };
  const { signal } = new AbortController();
  const handed: number[] = [];
  quiet.stir();
  const reading = (async () => {
    for await (const { seq } of patient(reader, (s) => quiet.pause(s)).read(null, "hint", signal)) {
      handed.push(seq);
      if (seq === 1) quiet.stir();
    }
  })();
  await world.turn(50);
  expect(handed).toEqual([]);
  await world.turn(50);
  expect(handed).toEqual([1]);
  // Busy for so long that no pause is to be expected.
  for (let i = 0; i < 60; i++) {
    quiet.stir();
    await world.turn(50);
  }
  await reading;
  expect(handed).toEqual([1, 2, 3]);
});
