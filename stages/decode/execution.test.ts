/**
 * Goal: whatever a transaction does, its events come out with the identity and order that its execution gives them. Method:
 * random executions (calls, precompiles, noise, events of both kinds) are rendered to instructions and logs, and at the
 * same time to the rows expected; decoding the rendering must give the rows.
 */
import { expect, test } from "bun:test";
import bs58 from "bs58";
import fc from "fast-check";
import {
  concat,
  dataLine,
  type FixtureInstruction,
  type FixtureTransaction,
  keyOf,
  littleEndian,
} from "./block-fixture.ts";
import type { ProgramSpec } from "./program.ts";
import { discriminatorOf } from "./program-decoder.ts";
import { decodeTransactions, type Row } from "./stage-fixture.ts";

/** Programs by key index: two of ours, a foreign one, a precompile that leaves no line. */
const KEYS = [keyOf(7), keyOf(8), keyOf(9), keyOf(10)];
const IDS = KEYS.map((key) => bs58.encode(key));
const FOREIGN = 2;
const PRECOMPILE = 3;

const PROGRAMS: ProgramSpec[] = ["a", "b"].map((name, i) => ({
  name,
  programId: IDS[i]!,
  events: [{ name: "TickEvent", layouts: [[{ name: "n", type: "u32" }]] }],
}));
const discriminator = discriminatorOf({ name: "TickEvent" }, "test");
const EMIT_CPI = Buffer.from("e445a52e51cb9a1d", "hex");

const NOISE = [
  "Program log: Instruction: Swap",
  "Program log: all done with success",
  `Program log: Program ${IDS[0]} success`,
  `Program log: Program ${IDS[0]} invoke [1]`,
  `Program return: ${IDS[1]} AAAA`,
  `Program ${IDS[0]} consumed 100 of 200000 compute units`,
  "Upgraded program 11111111111111111111111111111111",
  "Transfer: insufficient lamports 0, need 5",
  "",
];

type Action =
  | { readonly kind: "noise"; readonly line: string }
  | { readonly kind: "event" | "unknown" | "short" | "garbled" | "cpi" }
  | { readonly kind: "call"; readonly program: number; readonly actions: readonly Action[] };

const leaf: fc.Arbitrary<Action> = fc.oneof(
  { weight: 2, arbitrary: fc.constantFrom(...NOISE).map((line): Action => ({ kind: "noise", line })) },
  {
    weight: 4,
    arbitrary: fc.constantFrom("event", "cpi", "unknown", "short", "garbled").map((kind): Action => ({ kind })),
  },
);
const { call } = fc.letrec<{ call: Action; action: Action }>((tie) => ({
  action: fc.oneof({ maxDepth: 3, withCrossShrink: true }, leaf, tie("call")),
  call: fc
    .tuple(fc.integer({ min: 0, max: FOREIGN }), fc.array(tie("action"), { maxLength: 6 }))
    .map(([program, actions]): Action => ({ kind: "call", program, actions })),
}));
const precompile = fc.constant<Action>({ kind: "call", program: PRECOMPILE, actions: [] });
const execution = fc.array(fc.oneof({ weight: 4, arbitrary: call }, { weight: 1, arbitrary: precompile }), {
  maxLength: 5,
});

/** Renders an execution and remembers what must come of it. */
class Rendering {
  readonly instructions: FixtureInstruction[] = [];
  readonly inner: FixtureInstruction[][] = [];
  readonly logs: string[] = [];
  readonly expected: unknown[][] = [];
  private readonly heights: boolean;
  private n = 0;
  private events = 0;

  constructor(calls: readonly Action[], heights: boolean) {
    this.heights = heights;
    for (const action of calls) if (action.kind === "call") this.run(action.program, action.actions, 1);
  }

  get transaction(): FixtureTransaction {
    const inner = this.inner.map((instructions, index) => ({ index, instructions }));
    return {
      keys: KEYS,
      instructions: this.instructions,
      inner: inner.filter((g) => g.instructions.length > 0),
      logs: this.logs,
    };
  }

  private run(program: number, actions: readonly Action[], height: number): void {
    const path = this.addInstruction(program, height, new Uint8Array(0));
    if (program === PRECOMPILE) return;
    this.logs.push(`Program ${IDS[program]} invoke [${height}]`);
    let ordinal = 0;
    for (const action of actions) {
      if (action.kind === "noise") this.logs.push(action.line);
      else if (action.kind === "call") this.run(action.program, action.actions, height + 1);
      else if (action.kind === "cpi") this.emitCpi(program, height + 1);
      else ordinal += this.log(action.kind, program, path, ordinal);
    }
    this.logs.push(`Program ${IDS[program]} success`);
  }

  private addInstruction(program: number, height: number, data: Uint8Array): string {
    if (height === 1) {
      this.inner.push([]);
      return `${this.instructions.push({ program, data }) - 1}`;
    }
    const group = this.inner.at(-1)!;
    const instruction = { program, data, ...(this.heights ? { height } : {}) };
    return `${this.instructions.length - 1}.${group.push(instruction) - 1}`;
  }

  private payload(): Uint8Array {
    return concat([discriminator, littleEndian(BigInt(this.n), 4)]);
  }

  private expectRow(program: number, path: string, ordinal: number): void {
    if (program !== FOREIGN) this.expected.push([IDS[program], path, ordinal, this.events++, this.n]);
    this.n++;
  }

  /** A self-call of any program; only that of ours is an event. */
  private emitCpi(program: number, height: number): void {
    const path = this.addInstruction(program, height, concat([EMIT_CPI, this.payload()]));
    this.logs.push(`Program ${IDS[program]} invoke [${height}]`, `Program ${IDS[program]} success`);
    this.expectRow(program, path, 0);
  }

  /** Returns by how much the line moves the ordinals after it. */
  private log(kind: "event" | "unknown" | "short" | "garbled", program: number, path: string, ordinal: number): number {
    if (kind === "event") {
      this.logs.push(dataLine(this.payload()));
      this.expectRow(program, path, ordinal);
      return 1;
    }
    if (program !== FOREIGN) this.events++;
    if (kind === "garbled") this.logs.push("Program data: %%%");
    else this.logs.push(dataLine(kind === "short" ? Uint8Array.of(1) : new Uint8Array(12)));
    return kind === "garbled" ? 0 : 1;
  }
}

const found = (rows: readonly Row[] | undefined): unknown[][] =>
  (rows ?? []).map((r) => [
    bs58.encode(r["program"] as Uint8Array),
    r["instruction_path"],
    r["ordinal"],
    r["event_index"],
    r["n"],
  ]);

test.each([true, false])("decoding gives what was executed (heights recorded: %p)", (heights) => {
  fc.assert(
    fc.property(execution, (calls) => {
      const rendering = new Rendering(calls, heights);
      const { rows, health } = decodeTransactions({ programs: PROGRAMS }, [rendering.transaction]);
      expect(found(rows["tick"])).toEqual(rendering.expected);
      for (const program of Object.values(health.programs)) expect(program.unmatchedInvocations).toBe(0);
    }),
    { numRuns: 600 },
  );
});

test("a log cut anywhere loses only what it no longer says; calls need no log", () => {
  fc.assert(
    fc.property(execution, fc.nat(), (calls, seed) => {
      const { transaction, expected } = new Rendering(calls, true);
      const cut = seed % (transaction.logs!.length + 1);
      const logs = [...transaction.logs!.slice(0, cut), "Log truncated"];
      const { rows } = decodeTransactions({ programs: PROGRAMS }, [{ ...transaction, logs }]);
      const whole = new Set<unknown>(
        expected.map(([program, path, ordinal, , n]) => `${program} ${path} ${ordinal} ${n}`),
      );
      const kept = found(rows["tick"]).map(([program, path, ordinal, , n]) => `${program} ${path} ${ordinal} ${n}`);
      expect(kept.filter((row) => !whole.has(row))).toEqual([]);
      expect(new Set(kept).size).toBe(kept.length);
      const cpiData = transaction
        .inner!.flatMap((g) => g.instructions)
        .filter((i) => i.data!.length > 0 && i.program < FOREIGN);
      expect(kept.length).toBeGreaterThanOrEqual(cpiData.length);
    }),
    { numRuns: 400 },
  );
});
