/**
 * Goal: an archive begins a lake only where it never had another, or where it may; and what it tells of itself keeps the two
 * apart. Method: each case of what was told before, and a sink that is empty until it is committed to.
 */
import { expect, test } from "bun:test";
import type { Sink, Step } from "../storage/sink.ts";
import type { Standing } from "./control.ts";
import { beforeOldest, beginningWith, requireFirst } from "./known-lake.ts";
import { blockOf, positionOf } from "./nats-fixture.ts";

const UNIT = "archive.main";

function archived(told: Partial<Standing> | null, beginAnew = false) {
  const standing = told === null ? null : { position: null, finalSlot: 0, inputSeq: 0, at: 0, ...told };
  return {
    config: { "lake.beginAnew": beginAnew, "lake.url": "" },
    control: { standing: async (unit: string) => (unit === UNIT ? standing : null) },
    lake: async () => ({ name: "/some/where" }),
  };
}

test("first: nothing was told, or that nothing was committed", async () => {
  expect(await requireFirst(archived(null), UNIT)).toBe(false);
  expect(await requireFirst(archived({ position: null }), UNIT)).toBe(false);
  expect(await requireFirst(archived({ position: positionOf(4), empty: true }), UNIT)).toBe(true);
});

test("committed before: refused with what is missing, where, and what to do; unless it is wanted", async () => {
  const error = await requireFirst(archived({ position: positionOf(9) }), UNIT).catch((e: unknown) => e);
  expect(error).toMatchObject({ kind: "fatal", code: "LAKE_OTHER", where: "/some/where" });
  expect((error as Error).message).toContain("slot 9");
  expect(error).toMatchObject({ hint: expect.stringMatching(/lake\.dir.*lake\.beginAnew=true/s) });
  // Told by a version that did not say whether anything was committed.
  await expect(requireFirst(archived({ position: positionOf(9), empty: false }), UNIT)).rejects.toThrow();
  expect(await requireFirst(archived({ position: positionOf(9) }, true), UNIT)).toBe(true);
});

test("a sink that begins in mid-stream says that it is empty until it is committed to", async () => {
  const prevs: Step["prev"][] = [];
  let rolledBack = 0;
  const sink: Sink<string> = {
    name: "some",
    open: async () => null,
    async commit(step) {
      prevs.push(step.prev);
      return step.next;
    },
    rollback: async () => void rolledBack++,
    close: async () => undefined,
  };
  const first = { position: positionOf(5), finalSlot: 0, recent: [blockOf(5)], inputSeq: 0 };
  const beginning = beginningWith(sink, async () => first);
  const standing = { position: positionOf(5), finalSlot: 0, inputSeq: 0, recent: [] };
  expect(await beginning.open()).toEqual(first);
  expect(beginning.told(standing)).toEqual({ ...standing, empty: true });
  const step = { prev: positionOf(5), next: positionOf(6), finalSlot: 6, blocks: [blockOf(6)], inputSeq: 1 };
  await beginning.rollback(step);
  await beginning.commit(step, "rows");
  expect(beginning.told(standing).empty).toBe(false);
  await beginning.commit({ ...step, prev: positionOf(6), next: positionOf(7) }, "rows");
  await beginning.rollback(step);
  expect({ prevs, rolledBack }).toEqual({ prevs: [null, positionOf(6)], rolledBack: 1 });
});

test("before the oldest message: the block that it goes on from; none before the first of all", async () => {
  const at = { stream: "S", subject: "s" };
  const broker = (prev: ReturnType<typeof positionOf> | null) => ({
    firstHeader: async () => ({ seq: 7, subject: "s", header: { prev } as never }),
  });
  const head = await beforeOldest(broker(positionOf(3)), at);
  expect(head).toEqual({ position: positionOf(3), finalSlot: 0, recent: [positionOf(3)], inputSeq: 0 });
  expect(await beforeOldest(broker(null), at)).toBeNull();
  expect(await beforeOldest({ firstHeader: async () => null }, at)).toBeNull();
});
