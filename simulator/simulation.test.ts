/**
 * The stream of messages as a whole: one seed gives one sequence of bytes for ever (golden digests), undos and finality
 * obey the rules of the protocol, and both kinds of output tell of the same market.
 */
import { describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import fc from "fast-check";
import { Simulation, type SimulationOptions, simulate, type Truth } from "./index.ts";
import { type ReadMessage, readMessage, survivors } from "./naive-reader.ts";

function run(options: SimulationOptions): { messages: ReadMessage[]; truth: Truth; sha256: string } {
  const hash = createHash("sha256");
  const messages: ReadMessage[] = [];
  const generator = simulate(options);
  for (let next = generator.next(); ; next = generator.next()) {
    if (next.done) return { messages, truth: next.value!, sha256: hash.digest("hex") };
    hash.update(next.value.response);
    messages.push(readMessage(next.value));
  }
}

const seed1 = run({ seed: 1, blocks: 300, output: "transactions" });
const seed1Blocks = run({ seed: 1, blocks: 300, output: "block" });

describe("determinism", () => {
  test("the bytes of seed 1 never change", () => {
    expect(seed1.sha256).toBe("fc92417b149bff2114787156a9fc6bf1ca8c36b366bb0351263f2b5574a64147");
    expect(seed1Blocks.sha256).toBe("6100a2a967ac0b16ebee01a69097425c842b11ed03a16689944fc68e134d5a05");
  });

  test("nor does the truth about it", () => {
    const { datasets } = seed1.truth;
    const digests = Object.keys(datasets)
      .sort()
      .map((name) => `${name} ${datasets[name]!.rows} ${datasets[name]!.sha256}\n`);
    expect(createHash("sha256").update(digests.join("")).digest("hex")).toBe(
      "0915c508fb564bbd489822857e276846e8a182df9cf822863ad377a022b5f17c",
    );
  });

  test("runs do not influence each other, seeds do", () => {
    const small = { blocks: 40, output: "transactions" } as const;
    const one = new Simulation({ seed: 5, ...small }).messages();
    const other = new Simulation({ seed: 6, ...small }).messages();
    const mixed = createHash("sha256");
    for (let a = one.next(); !a.done; a = one.next()) {
      mixed.update(a.value.response);
      other.next();
    }
    expect(mixed.digest("hex")).toBe(run({ seed: 5, ...small }).sha256);
    expect(run({ seed: 6, ...small }).sha256).not.toBe(run({ seed: 5, ...small }).sha256);
  });

  test("both outputs tell of the same market", () => {
    const { transactions: _, output: __, chain, ...market } = seed1.truth;
    const { transactions: ___, output: ____, chain: wholeChain, ...sameMarket } = seed1Blocks.truth;
    expect(sameMarket).toEqual(market);
    expect(wholeChain.lastHash).toBe(chain.lastHash);
    expect(seed1Blocks.truth.transactions).toBeGreaterThan(seed1.truth.transactions);
  });

  test("an upgrade of the program changes its events from that slot on, and nothing that is true", () => {
    const upgrade = { fromSlot: 370_500_100, at: "middle" } as const;
    const grown = run({ seed: 1, blocks: 300, output: "transactions", grows: upgrade });
    expect(grown.truth).toEqual(seed1.truth);
    const differs = grown.messages.map((message, i) => !Bun.deepEquals(message, seed1.messages[i]));
    const slots = grown.messages.flatMap((m, i) => ("block" in m && differs[i] === true ? [m.block.slot] : []));
    expect(Math.min(...slots)).toBeGreaterThanOrEqual(upgrade.fromSlot);
    expect(slots.length).toBeGreaterThan(100);
  });

  test("a seed may be any safe integer", () => {
    const large = run({ seed: 2 ** 40 + 5, blocks: 5, output: "transactions" });
    expect(large.sha256).not.toBe(run({ seed: 5, blocks: 5, output: "transactions" }).sha256);
  });
});

/** Follows the messages as a careful client would and fails at the first broken rule. */
function obeysProtocol(messages: readonly ReadMessage[]): void {
  const chain: { slot: number; hash: string }[] = [];
  const cursors = new Set<string>();
  let final = 0;
  for (const message of messages) {
    if ("undo" in message) {
      const { slot } = message.undo;
      expect(slot).toBeGreaterThanOrEqual(final);
      expect(chain.at(-1)!.slot).toBeGreaterThan(slot);
      while (chain.length > 0 && chain.at(-1)!.slot > slot) chain.pop();
      continue;
    }
    const { block } = message;
    expect(block.slot).toBeGreaterThan(chain.at(-1)?.slot ?? -1);
    expect(cursors.has(block.cursor)).toBe(false);
    expect(block.finalHeight).toBeGreaterThanOrEqual(final);
    expect(block.finalHeight).toBeLessThanOrEqual(block.slot);
    cursors.add(block.cursor);
    final = Math.max(final, block.finalHeight);
    chain.push(block);
  }
  expect(final).toBe(chain.at(-1)!.slot);
}

describe("the chain", () => {
  test.each([
    ["transactions", seed1],
    ["block", seed1Blocks],
  ] as const)("%s output: undos, finality and cursors obey the protocol", (_, { messages, truth }) => {
    obeysProtocol(messages);
    const blocks = survivors(messages);
    expect(blocks.length).toBe(300);
    expect(truth.blocks).toBe(300);
    expect(blocks.at(-1)!.hash).toBe(truth.chain.lastHash);
    expect(messages.filter((m) => "undo" in m).length).toBe(truth.chain.undos);
    expect(messages.filter((m) => "block" in m).length).toBe(300 + truth.chain.undoneBlocks);
  });

  test("any seed, length and amount of forks obeys the protocol", () => {
    const chains = fc.record({
      seed: fc.nat(),
      blocks: fc.integer({ min: 1, max: 60 }),
      output: fc.constantFrom("transactions", "block"),
      undo: fc.double({ min: 0, max: 0.5, noNaN: true }),
      silentBlock: fc.double({ min: 0, max: 0.5, noNaN: true }),
    });
    fc.assert(
      fc.property(chains, ({ seed, blocks, output, undo, silentBlock }) => {
        const rates = { undo, silentBlock, undoTwice: 0.5, transactions: [0, 2] } as const;
        const { messages, truth } = run({ seed, blocks, output, rates });
        obeysProtocol(messages);
        expect(survivors(messages).length).toBe(blocks);
        expect(truth.blocks).toBe(blocks);
      }),
      { numRuns: 40 },
    );
  });

  test("undos come in all the ways that hurt", () => {
    const { chain } = seed1.truth;
    expect(chain.undos).toBeGreaterThan(5);
    expect(chain.deepestUndo).toBeGreaterThanOrEqual(8);
    expect(chain.deepestUndo).toBeLessThanOrEqual(12);
    expect(chain.consecutiveUndos).toBeGreaterThan(0);
    expect(chain.undosToSilentBlock).toBeGreaterThan(0);
    expect(chain.reincludedTransactions).toBeGreaterThan(0);

    const delivered = new Set(seed1.messages.flatMap((m) => ("block" in m ? [m.block.hash] : [])));
    expect(seed1.messages.some((m) => "undo" in m && !delivered.has(m.undo.hash))).toBe(true);
    const slots = seed1.messages.flatMap((m) => ("block" in m ? [m.block.slot] : []));
    expect(new Set(slots).size).toBeLessThan(slots.length); // a slot that two forks have used
    const gaps = survivors(seed1.messages).map((b, i, all) => b.slot - (all[i - 1]?.slot ?? b.slot - 1));
    expect(gaps.some((gap) => gap > 2)).toBe(true); // skipped slots
    const lags = seed1.messages
      .slice(0, 250)
      .flatMap((m) => ("block" in m ? [m.block.slot - m.block.finalHeight] : []));
    expect(Math.min(...lags)).toBeGreaterThanOrEqual(12);
    expect(Math.max(...lags)).toBeLessThanOrEqual(80);
  });

  test("whole blocks: the final height is always that of a block that was delivered", () => {
    for (const seed of [1, 2, 3]) {
      const { messages } = run({ seed, blocks: 80, output: "block", rates: { silentBlock: 0.4 } });
      const slots = new Set<number>();
      for (const message of messages) {
        if ("undo" in message) continue;
        slots.add(message.block.slot);
        const { finalHeight } = message.block;
        expect(finalHeight < 370_500_000 || slots.has(finalHeight)).toBe(true);
      }
    }
  });

  test("an undo to a block that was delivered gives that block's cursor", () => {
    const cursors = new Map<string, string>();
    for (const message of seed1.messages) {
      if ("block" in message) cursors.set(message.block.hash, message.block.cursor);
      else expect(message.undo.cursor).toBe(cursors.get(message.undo.hash) ?? message.undo.cursor);
    }
  });

  test("block time follows the slot and crosses midnight", () => {
    const blocks = survivors(seed1.messages);
    for (const block of blocks) expect(block.time).toBe(1_759_276_740 + Math.floor((block.slot - 370_500_000) * 0.4));
    expect(new Set(blocks.map((block) => Math.floor(block.time / 86_400))).size).toBe(2);
  });
});

test("options that make no sense are refused with what to do", () => {
  const base = { seed: 1, blocks: 1, output: "transactions" } as const;
  const wrong: SimulationOptions[] = [
    { ...base, seed: -1 },
    { ...base, seed: 0.5 },
    { ...base, blocks: 0 },
    { ...base, startSlot: 0 },
    { ...base, output: "rows" as "block" },
    { ...base, profile: "calm" as "market" },
    { ...base, program: "spinpet" },
  ];
  const codes = wrong.map((options) => {
    try {
      return new Simulation(options).messages().next();
    } catch (error) {
      return (error as { code: string }).code;
    }
  });
  expect(codes).toEqual(wrong.map(() => "SIMULATION_OPTION"));
});

test("the truth is refused until the last message has been read and dealt with", () => {
  const simulation = new Simulation({ seed: 1, blocks: 1, output: "transactions" });
  const messages = simulation.messages();
  const unfinished = expect.objectContaining({ code: "SIMULATION_UNFINISHED" });
  const refusal = () => {
    try {
      return simulation.truth();
    } catch (error) {
      return error;
    }
  };
  expect(refusal()).toEqual(unfinished);
  messages.next();
  expect(refusal()).toEqual(unfinished);
  expect(messages.next().done).toBe(true);
  expect(simulation.truth().blocks).toBe(1);
});
