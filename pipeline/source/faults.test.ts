/**
 * Goal: whatever fault a replay shows, the client ends with the chain that was recorded, or says for good why not. Method:
 * each fault, in two versions of the protocol, several times and all together, read by the real client over real gRPC;
 * what it gave out is folded (undo signals taken, repeats skipped) and compared.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { classify } from "../errors.ts";
import { systemWorld } from "../world.ts";
import type { SubstreamsOptions } from "./client.ts";
import { FAULTS, type FaultKind, FaultPlan, parseFault } from "./faults.ts";
import type { Protocol } from "./rpc.ts";
import type { BlockSignal } from "./source.ts";
import { codeOf, dataMessage, openTestSource, record, replay, undoMessage } from "./testing.ts";

const folder = mkdtempSync(join(tmpdir(), "sluice-faults-"));
const recording = join(folder, "chain.zst");
const slots = (first: number, last: number) => Array.from({ length: last - first + 1 }, (_, i) => first + i);
/** Final height three behind; a fork of the recording's own at 30. */
const chain = [
  ...slots(10, 31).map((slot) => dataMessage({ slot, finalSlot: slot - 3 })),
  undoMessage(29),
  ...slots(30, 60).map((slot) => dataMessage({ slot, fork: "b", finalSlot: Math.max(28, slot - 3) })),
];
const truth = [...slots(10, 29).map((slot) => `hash${slot}`), ...slots(30, 60).map((slot) => `hash${slot}b`)];
beforeAll(() => record(recording, chain));
afterAll(() => rmSync(folder, { recursive: true }));

interface Outcome {
  readonly chain: readonly string[];
  readonly signals: readonly BlockSignal[];
  readonly attempts: number;
  readonly error: string | null;
}

async function stream(faults: readonly string[], options: Partial<SubstreamsOptions> = {}): Promise<Outcome> {
  const server = await replay(recording, { plan: faults.map(parseFault), endAtEof: true });
  const { source } = openTestSource(server.port, {
    // Without luck in the draw, back-off is as short as it gets.
    world: { ...systemWorld, random: () => 0 },
    stopBlock: "61",
    idleTimeoutMs: faults.some((fault) => fault.startsWith("stall")) ? 400 : 30_000,
    ...options,
  });
  const signals: BlockSignal[] = [];
  let standing: { slot: number; hash: string }[] = [];
  let error: string | null = null;
  try {
    for await (const signal of source.blocks(null, new AbortController().signal)) {
      signals.push(signal);
      if (signal.kind === "undo") standing = standing.filter(({ slot }) => slot <= signal.to.slot);
      if (signal.kind !== "block") continue;
      const { slot, hash } = signal.block;
      const last = standing.at(-1);
      if (last !== undefined && slot <= last.slot) expect(standing).toContainEqual({ slot, hash });
      else standing.push({ slot, hash });
    }
  } catch (thrown) {
    error = classify(thrown).code;
  } finally {
    await server.close();
  }
  return { chain: standing.map(({ hash }) => hash), signals, attempts: source.status.attempts, error };
}

const SURVIVED: Partial<Record<FaultKind, number>> = {
  disconnect: 1,
  goaway: 1,
  stall: 1,
  unavailable: 1,
  exhausted: 1,
  fork: 0,
  "undo-first": 1,
  "undo-final": 0,
  repeat: 1,
  garbage: 1,
};

describe("the client survives", () => {
  for (const [kind, calls] of Object.entries(SURVIVED)) {
    for (const protocol of ["v4", "v2"] as const satisfies Protocol[]) {
      test(`${kind} (${protocol})`, async () => {
        const once = await stream([`${kind}@25`], { protocol });
        expect(once.error).toBeNull();
        expect(once.chain).toEqual(truth);
        // On a busy machine silence may be longer than the patience that the stall is given.
        const atMost = kind === "stall" ? Number.POSITIVE_INFINITY : calls;
        expect(once.attempts).toBeGreaterThanOrEqual(1 + calls);
        expect(once.attempts).toBeLessThanOrEqual(1 + atMost);
        // At the fork of the recording itself, and several times.
        const often = await stream([`${kind}@30x2`, `${kind}@+40`], { protocol });
        expect(often.chain).toEqual(truth);
        expect(often.attempts).toBeGreaterThanOrEqual(1 + 3 * calls);
      }, 300_000);
    }
  }

  test("all of them in one stream", async () => {
    const kinds = Object.keys(SURVIVED);
    const { chain: got, error } = await stream([
      ...kinds.map((kind, i) => `${kind}@+${3 + 2 * i}`),
      ...kinds.map((kind, i) => `${kind}@+${47 - i}`),
    ]);
    expect([got, error]).toEqual([truth, null]);
  }, 300_000);
});

test("what a fault looks like: undo signals, repeats, and where they stand", async () => {
  const told = async (fault: string) =>
    (await stream([fault])).signals.slice(13, 19).map((s) => {
      if (s.kind === "block") return s.block.hash;
      return s.kind === "undo" ? `undo to ${s.to.hash}` : s.kind;
    });
  expect(await told("fork@25")).toEqual([
    "hash23",
    "hash24",
    "madeup0hash25",
    "madeup1hash25",
    "undo to hash24",
    "hash25",
  ]);
  expect(await told("undo-first@25")).toEqual(await told("fork@25"));
  expect(await told("undo-final@25")).toEqual(["hash23", "hash24", "undo to hash21", "hash22", "hash23", "hash24"]);
  expect(await told("repeat@25")).toEqual(["hash23", "hash24", "hash24", "hash25", "hash26", "hash27"]);
});

test("what cannot be survived ends with its own code, after all that was whole", async () => {
  const before = truth.slice(0, 15);
  const end = async (kind: FaultKind) => {
    const { chain: got, error } = await stream([`${kind}@25`]);
    return [got, error];
  };
  expect(await end("quota")).toEqual([before, "SUBSTREAMS_QUOTA"]);
  expect(await end("expired")).toEqual([before, "SUBSTREAMS_AUTH"]);
  expect(await end("oversize")).toEqual([before, "GRPC_MESSAGE_TOO_LARGE"]);
});

test("every kind is tried here", () => {
  expect(new Set([...Object.keys(SURVIVED), "quota", "expired", "oversize"])).toEqual(new Set(Object.keys(FAULTS)));
});

test("the grammar", async () => {
  expect(parseFault("stall@+100x2")).toEqual({ kind: "stall", at: 100, relative: true, times: 2 });
  expect(parseFault(" undo-first@7 ")).toEqual({ kind: "undo-first", at: 7, relative: false, times: 1 });
  for (const bad of ["stall", "stall@", "stall@x", "@5", "stall@5x", "stall@-5", "stal@5"]) {
    expect((await codeOf(() => parseFault(bad))).code).toBe("FAULT_INVALID");
  }
  expect((await codeOf(() => parseFault("stal@5"))).hint).toContain('"stall"');
});

test("a plan strikes in order of slots, each as often as it says", () => {
  const plan = new FaultPlan(["repeat@+5", "stall@3x2"].map(parseFault), 10);
  expect([plan.quietBelow, plan.take(2), plan.take(3), plan.take(20), plan.quietBelow]).toEqual([
    3,
    null,
    "stall",
    "stall",
    15,
  ]);
  expect([plan.takeRepeat(), plan.take(15), plan.takeRepeat(), plan.takeRepeat(), plan.take(99)]).toEqual([
    false,
    "repeat",
    true,
    false,
    null,
  ]);
  expect(plan.quietBelow).toBe(Number.POSITIVE_INFINITY);
});
