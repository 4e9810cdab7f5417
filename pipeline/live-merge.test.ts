/**
 * Goal: however many lanes there are, however far apart, batched or restarted, the feed is one chain that is told without a
 * hole and ends where the lanes end. Method: random chains with forks, told by each lane in its own batches; now and then a
 * lane skips a fork that its rebuilt input does not hold; messages arrive in any order; the steps are applied naively.
 */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { type FeedStep, LiveMerge } from "./live-merge.ts";
import { positionOf } from "./nats-fixture.ts";
import { type BlockRef, type Position, sameBlock } from "./position.ts";
import type { BatchHeader, Message } from "./wire/message.ts";

type Act = { kind: "block"; to: Position } | { kind: "undo"; to: Position };

/** What happens to a chain: how many blocks are taken back, then how many follow, with slots left out. */
const story = fc.array(
  fc.record({ back: fc.nat({ max: 3 }), blocks: fc.array(fc.nat({ max: 2 }), { minLength: 1, maxLength: 4 }) }),
  { minLength: 1, maxLength: 8 },
);

function actsOf(told: { back: number; blocks: number[] }[]): Act[] {
  const chain = [positionOf(100)];
  const acts: Act[] = [];
  told.forEach(({ back, blocks }, fork) => {
    if (back > 0 && chain.length > back) {
      chain.splice(chain.length - back);
      acts.push({ kind: "undo", to: chain.at(-1)! });
    }
    for (const skip of blocks) {
      const to = positionOf(chain.at(-1)!.slot + 1 + skip, `-${fork}`);
      chain.push(to);
      acts.push({ kind: "block", to });
    }
  });
  return acts;
}

/** The way to the same end without what was taken back. */
function straight(acts: readonly Act[]): Act[] {
  const out: Act[] = [];
  for (const act of acts) {
    if (act.kind === "undo") while (out.length > 0 && out.at(-1)!.to.slot > act.to.slot) out.pop();
    else out.push(act);
  }
  return out;
}

/** A lane's messages: `cuts` says where a batch of blocks ends. */
function messagesOf(acts: readonly Act[], cuts: readonly boolean[]): Message[] {
  const messages: Message[] = [];
  let prev = positionOf(100);
  let batch: Position[] = [];
  const send = (kind: "data" | "undo", next: Position) => {
    const blocks = batch.map(({ slot, hash }) => [slot, hash] as const);
    const header = {
      v: 1,
      kind,
      prev,
      next,
      final: 0,
      input: messages.length,
      blocks,
      time: 0,
      sections: [],
      crc32: 0,
    };
    messages.push({ header: header satisfies BatchHeader, body: new Uint8Array(0) });
    prev = next;
    batch = [];
  };
  acts.forEach((act, i) => {
    if (act.kind === "block") batch.push(act.to);
    const next = acts[i + 1];
    if (batch.length > 0 && (act.kind === "undo" || next?.kind !== "block" || cuts[i % cuts.length])) {
      send("data", batch.at(-1)!);
    }
    if (act.kind === "undo") send("undo", act.to);
  });
  return messages;
}

/** Applies steps as a client would; blocks that do not fit fail the test. */
function follow(chain: BlockRef[], step: FeedStep): void {
  if (step.kind === "gap") throw new Error("nothing is missing");
  if (step.kind === "undo") {
    expect(chain.at(-1)!.hash).toBe(step.from!.hash);
    while (chain.length > 0 && chain.at(-1)!.slot > step.to.slot) chain.pop();
    expect(chain.at(-1)!.hash).toBe(step.to.hash);
  } else chain.push(step.block);
}

test("lanes that are apart, batched apart, or have not seen a fork: one chain, whole", () => {
  const lane = fc.record({ cuts: fc.array(fc.boolean(), { minLength: 1, maxLength: 5 }), straight: fc.boolean() });
  fc.assert(
    fc.property(
      story,
      fc.array(lane, { minLength: 1, maxLength: 3 }),
      fc.infiniteStream(fc.nat()),
      (told, lanes, order) => {
        // At least one lane has seen everything; a stream that was rebuilt holds only the end of a fork's story.
        const acts = actsOf(told);
        const queues = lanes.map((l, i) => messagesOf(l.straight && i > 0 ? straight(acts) : acts, l.cuts));
        const merge = new LiveMerge(lanes.length, new Map());
        const chain: BlockRef[] = [positionOf(100)];
        while (queues.some((q) => q.length > 0)) {
          const open = queues.flatMap((q, i) => (q.length > 0 ? [i] : []));
          const lane = open[Number(order.next().value) % open.length]!;
          for (const step of merge.add(lane, queues[lane]!.shift()!, queues[lane]!.length === 0)) {
            if (step.kind !== "gap") expect(step.commits.length).toBeGreaterThanOrEqual(lanes.length);
            follow(chain, step);
          }
        }
        const end = [positionOf(100), ...straight(acts).map(({ to }) => to)];
        expect(chain.map(({ hash }) => hash)).toEqual(end.map(({ hash }) => hash));
        expect(sameBlock(merge.head ?? null, end.at(-1)!)).toBe(true);
      },
    ),
    { numRuns: 300 },
  );
});

const blocks = (...slots: number[]): Act[] => slots.map((slot) => ({ kind: "block", to: positionOf(slot) }));
const told = (merge: LiveMerge, lane: number, messages: readonly Message[]) =>
  messages.flatMap((message, i) => [...merge.add(lane, message, i === messages.length - 1)]);
const short = (step: FeedStep) =>
  step.kind === "block" ? `${step.block.slot}` : `${step.kind} ${step.from?.slot} -> ${step.to?.slot}`;

test("a hole in one lane is told, and the chain goes on behind it", () => {
  const [whole, holed] = [0, 1].map(() => messagesOf(blocks(101, 102, 103, 104, 105), [true]));
  holed!.splice(1, 2);
  const merge = new LiveMerge(2, new Map());
  expect(told(merge, 0, whole!)).toEqual([]);
  expect(told(merge, 1, holed!).map(short)).toEqual(["101", "gap 101 -> 103", "104", "105"]);
});

test("what a lane tells again is passed over", () => {
  const messages = messagesOf(blocks(101, 102, 103), [true]);
  const merge = new LiveMerge(1, new Map());
  expect(told(merge, 0, [...messages, ...messages.slice(1)]).map(short)).toEqual(["101", "102", "103"]);
});

const behind = (slot: number, isIncluded = false) =>
  new LiveMerge(1, new Map(), { block: positionOf(slot), isIncluded });

test("begins behind a block in the middle of a batch, or on a fork that was left", () => {
  const batch = messagesOf(blocks(101, 102, 103, 104), [false]);
  expect(told(behind(102), 0, batch).map(short)).toEqual(["103", "104"]);
  expect(told(behind(102, true), 0, batch).map(short)).toEqual(["102", "103", "104"]);
  expect(told(behind(101, true), 0, batch).map(short)).toEqual(["101", "102", "103", "104"]);
  const left: Act[] = [
    ...blocks(101, 102),
    { kind: "undo", to: positionOf(100) },
    { kind: "block", to: positionOf(101, "b") },
  ];
  const forked = messagesOf(left, [true]);
  expect(told(behind(102), 0, forked).map(short)).toEqual(["undo 102 -> 100", "101"]);
});

test("a block that the chain has come to twice: behind the last time, so that nothing is told again", () => {
  const acts: Act[] = [
    ...blocks(101, 102),
    { kind: "undo", to: positionOf(101) },
    { kind: "block", to: positionOf(103) },
  ];
  const messages = messagesOf(acts, [true]);
  expect(told(behind(101), 0, messages).map(short)).toEqual(["103"]);
  expect(told(behind(102), 0, messages).map(short)).toEqual(["undo 102 -> 101", "103"]);
  expect(told(behind(101, true), 0, messages).map(short)).toEqual(["101", "102", "undo 102 -> 101", "103"]);
});

test("a lane far ahead of the others is not read further, and nothing is lost", () => {
  const slots = Array.from({ length: 300 }, (_, i) => 101 + i);
  const [fast, slow] = [0, 1].map(() => messagesOf(blocks(...slots), [true]));
  const merge = new LiveMerge(2, new Map());
  let sent = 0;
  while (merge.hasRoom(0)) told(merge, 0, [fast![sent++]!]);
  expect(sent).toBeLessThan(300);
  const steps = slow!.flatMap((message) => {
    const here = told(merge, 1, [message]);
    return [...here, ...(merge.hasRoom(0) && sent < 300 ? told(merge, 0, [fast![sent++]!]) : [])];
  });
  expect(steps.map(short)).toEqual(slots.map(String));
});
