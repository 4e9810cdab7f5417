/**
 * The truth against a second computation from the decoded messages: same rows, same digests, for several seeds and both
 * outputs. And the digest against its documented definition.
 */
import { describe, expect, test } from "bun:test";
import { DEFAULT_PROGRAM, type SimulationOptions, simulate, type Truth } from "./index.ts";
import { type ReadBlock, readMessage, survivors } from "./naive-reader.ts";
import { findEvents, naiveLines } from "./naive-truth.ts";

function run(options: SimulationOptions): { blocks: ReadBlock[]; truth: Truth } {
  const messages = [];
  const generator = simulate({ ...options, truth: "lines" });
  for (let next = generator.next(); ; next = generator.next()) {
    if (next.done) return { blocks: survivors(messages), truth: next.value! };
    messages.push(readMessage(next.value));
  }
}

const RUNS: readonly (readonly [string, SimulationOptions])[] = [
  ["a launchpad", { seed: 1, blocks: 300, output: "transactions" }],
  ["whole blocks", { seed: 2, blocks: 150, output: "block" }],
  ["dense blocks", { seed: 3, blocks: 5, output: "transactions", profile: "dense" }],
  ["profits that wrapped", { seed: 4, blocks: 200, output: "transactions", rates: { wrappedProfit: 0.5 } }],
  ["fields appended", { seed: 5, blocks: 200, output: "transactions", grows: { fromSlot: 370_500_100, at: "end" } }],
  ["fields inserted", { seed: 5, blocks: 200, output: "block", grows: { fromSlot: 370_500_100, at: "middle" } }],
];

describe.each(RUNS)("%s", (_, options) => {
  const { blocks, truth } = run(options);
  const found = findEvents(blocks, DEFAULT_PROGRAM, options.grows?.at);

  test("every dataset has exactly the rows that can be read from the recording", () => {
    const lines = naiveLines(found, DEFAULT_PROGRAM);
    expect(Object.keys(truth.lines!).sort()).toEqual(Object.keys(lines).sort());
    for (const [name, expected] of Object.entries(lines)) expect(truth.lines![name], name).toEqual(expected);
  });

  test("digests are the SHA-256 of the lines", () => {
    for (const [name, digest] of Object.entries(truth.datasets)) {
      const lines = truth.lines![name]!;
      const text = lines.map((line) => `${line}\n`).join("");
      const sha256 = new Bun.CryptoHasher("sha256").update(text).digest("hex");
      expect(digest, name).toEqual({ rows: lines.length, sha256 });
    }
  });

  test("counts agree with the rows", () => {
    expect(truth.eventsTotal).toBe(found.events.length);
    expect(truth.quarantined).toBe(found.quarantine.length);
    expect(truth.unknownDiscriminators).toBe(found.unknown);
    expect(truth.trades).toBe(truth.datasets["trades"]!.rows);
    expect(truth.userEvents).toBe(truth.datasets["user_events"]!.rows);
    expect(truth.mints.length).toBe(truth.events.token_created);
  });

  test("identities are unique", () => {
    const identities = found.events.map((e) => `${e.slot}|${e.signature}|${e.path}|${e.ordinal}`);
    expect(new Set(identities).size).toBe(identities.length);
  });
});

test("sums saturate at 2^64 - 1", () => {
  const { truth } = run(RUNS[3]![1]);
  expect(truth.mints.some((mint) => mint.total_close_profit === "18446744073709551615")).toBe(true);
});

test("the truth is plain JSON", () => {
  const { truth } = run({ seed: 1, blocks: 20, output: "transactions" });
  expect(JSON.parse(JSON.stringify(truth))).toEqual(truth);
});

test("without lines the truth stays small", () => {
  const generator = simulate({ seed: 1, blocks: 20, output: "transactions" });
  let next = generator.next();
  while (!next.done) next = generator.next();
  expect(next.value?.lines).toBeUndefined();
  const none = simulate({ seed: 1, blocks: 2, output: "transactions", truth: false });
  let last = none.next();
  while (!last.done) last = none.next();
  expect(last.value).toBeNull();
});
