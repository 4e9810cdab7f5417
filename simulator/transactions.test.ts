/**
 * What is in the transactions: every nuisance that the simulator promises occurs within 300 blocks of seed 1, found by
 * looking at the decoded messages and not by asking the simulator, and all messages hold together (log and instructions,
 * account indexes, balances).
 */
import { describe, expect, test } from "bun:test";
import bs58 from "bs58";
import { PROGRAMS } from "./accounts.ts";
import { DEFAULT_PROGRAM, type SimulationOptions, simulate } from "./index.ts";
import {
  accountsOf,
  type Invocation,
  type ReadBlock,
  type ReadTransaction,
  readMessage,
  readOutput,
  survivors,
  type Walk,
  walk,
} from "./naive-reader.ts";
import { findEvents } from "./naive-truth.ts";

interface Run {
  readonly blocks: readonly ReadBlock[];
  readonly all: readonly ReadBlock[];
  readonly transactions: readonly ReadTransaction[];
}

function run(options: SimulationOptions): Run {
  const messages = [...simulate({ ...options, truth: false })].map(readMessage);
  const blocks = survivors(messages);
  const all = messages.flatMap((m) => ("block" in m ? [m.block] : []));
  return { blocks, all, transactions: blocks.flatMap((block) => readOutput(block).transactions) };
}

const filtered = run({ seed: 1, blocks: 300, output: "transactions" });
const whole = run({ seed: 1, blocks: 300, output: "block" });
const BOTH = [
  ["transactions", filtered],
  ["block", whole],
] as const;

const logs = (tx: ReadTransaction) => tx.meta.logMessages ?? [];
const failed = (tx: ReadTransaction) => tx.meta.err !== undefined;
const walked = new Map<ReadTransaction, Walk>();
const walkOf = (tx: ReadTransaction) => walked.get(tx) ?? walked.set(tx, walk(tx)).get(tx)!;
const programs = (tx: ReadTransaction) => walkOf(tx).invocations.map((i) => i.program);
const count = <T>(items: readonly T[], of: (item: T) => boolean) => items.filter(of).length;
const DISCRIMINATORS = ["62d0783c5d2013b4", "1b4514743afa5fdc", "16f471f59aa86d8b", "607a718a32e39539"];
const looksLikeEvent = (payload: Buffer) => DISCRIMINATORS.includes(payload.toString("hex", 0, 8));

describe.each(BOTH)("%s output is well formed", (_, { all, transactions }) => {
  test("log and instructions agree, and nothing is left running", () => {
    for (const tx of transactions) {
      const { invocations, truncated, unfinished } = walkOf(tx);
      if (truncated) continue;
      expect(unfinished).toBe(0);
      const ran = invocations.filter((i) => ![PROGRAMS.ed25519.text, PROGRAMS.secp256k1.text].includes(i.program));
      const invoked = count(logs(tx), (line) => / invoke \[\d\]$/.test(line) && !line.startsWith("Program log"));
      // A failed transaction names instructions that never ran.
      if (failed(tx)) expect(invoked).toBeLessThanOrEqual(ran.length);
      else expect(invoked).toBe(ran.length);
    }
  });

  test("a failing log belongs to an error and the other way round", () => {
    for (const tx of transactions) {
      const failures = count(logs(tx), (line) => /^Program \w+ failed: [^\n]*$/.test(line));
      expect(failures > 0).toBe(failed(tx));
    }
  });

  test("account keys are distinct, and every index points at one", () => {
    for (const tx of transactions) {
      const accounts = accountsOf(tx);
      expect(new Set(accounts).size).toBe(accounts.length);
      expect(tx.meta.preBalances.length).toBe(accounts.length);
      const inner = tx.meta.innerInstructions?.flatMap((group) => group.instructions) ?? [];
      for (const ix of [...tx.transaction.message.instructions, ...inner]) {
        const indexes = [ix.programIdIndex ?? 0, ...Buffer.from(ix.accounts ?? "", "base64")];
        expect(Math.max(...indexes)).toBeLessThan(accounts.length);
      }
      const { header } = tx.transaction.message;
      expect(tx.transaction.signatures.length).toBe(header.numRequiredSignatures);
      expect(new Set(tx.transaction.signatures.map((s) => Buffer.from(s, "base64").length))).toEqual(new Set([64]));
    }
  });

  test("lookup tables account for exactly the loaded addresses", () => {
    for (const tx of transactions) {
      const lookups = tx.transaction.message.addressTableLookups ?? [];
      const indexes = (field: "writableIndexes" | "readonlyIndexes") =>
        lookups.reduce((sum, lookup) => sum + Buffer.from(lookup[field] ?? "", "base64").length, 0);
      expect(indexes("writableIndexes")).toBe(tx.meta.loadedWritableAddresses?.length ?? 0);
      expect(indexes("readonlyIndexes")).toBe(tx.meta.loadedReadonlyAddresses?.length ?? 0);
    }
  });

  test("lamports are neither made nor lost, apart from the fee", () => {
    const sum = (balances: readonly string[]) => balances.reduce((total, b) => total + BigInt(b), 0n);
    for (const { meta } of transactions) expect(sum(meta.preBalances) - sum(meta.postBalances)).toBe(BigInt(meta.fee));
  });

  test("a signature stands once in the surviving chain and has one message on all forks", () => {
    const signatures = transactions.map((tx) => tx.transaction.signatures[0]!);
    expect(new Set(signatures).size).toBe(signatures.length);
    const messages = new Map<string, string>();
    const again = new Set<string>();
    for (const tx of all.flatMap((block) => readOutput(block).transactions)) {
      const signature = tx.transaction.signatures[0]!;
      const message = JSON.stringify(tx.transaction);
      if (messages.has(signature)) again.add(signature);
      expect(messages.get(signature) ?? message).toBe(message);
      messages.set(signature, message);
    }
    expect(again.size).toBeGreaterThan(5);
    expect(messages.size).toBeGreaterThan(signatures.length + 100);
  });
});

describe.each(BOTH)("%s output has every nuisance", (_, { blocks, transactions }) => {
  const target = transactions.filter((tx) => accountsOf(tx).includes(DEFAULT_PROGRAM));
  const ok = target.filter((tx) => !failed(tx));
  const walks = ok.map(walkOf);
  const found = findEvents(blocks, DEFAULT_PROGRAM);

  test("all seven events, and both layouts of TokenCreated", () => {
    const kinds = new Set(found.events.map((e) => e.dataset));
    expect(kinds.size).toBe(7);
    const created = found.events.filter((e) => e.dataset === "token_created");
    expect(count(created, (e) => e.row["swap_fee"] !== undefined)).toBeGreaterThan(
      count(created, (e) => e.row["swap_fee"] === undefined),
    );
    expect(count(created, (e) => e.row["swap_fee"] === undefined)).toBeGreaterThan(0);
    expect(count(created, (e) => /[^\x20-\x7e]/.test(`${e.row["name"]}`))).toBeGreaterThan(0);
    expect(count(created, (e) => e.row["uri"] === "")).toBeGreaterThan(0);
  });

  test("closes and liquidations paid for by others than the owner", () => {
    const closes = found.events.filter((e) => e.dataset === "full_close" || e.dataset === "partial_close");
    expect(count(closes, (e) => e.row["payer"] !== e.row["user_sol_account"])).toBeGreaterThan(0);
    const owners = new Map(
      found.events.filter((e) => e.dataset === "long_short").map((e) => [e.row["order_pda"], e.row["user"]]),
    );
    const liquidations = found.events.filter((e) => e.dataset === "force_liquidate");
    expect(count(liquidations, (e) => owners.get(e.row["order_pda"]!) !== e.row["payer"])).toBeGreaterThan(0);
  });

  test("several events in one transaction", () => {
    const bySignature = Object.values(Object.groupBy(found.events, (e) => e.signature));
    expect(count(bySignature, (events) => events!.length > 1)).toBeGreaterThan(0);
    expect(count(bySignature, (events) => new Set(events!.map((e) => e.path)).size > 1)).toBeGreaterThan(0);
  });

  test("failed transactions that carry event data", () => {
    const carrying = target.filter(
      (tx) => failed(tx) && walkOf(tx).order.some((e) => e.invocation.program === DEFAULT_PROGRAM && e.payload),
    );
    expect(carrying.length).toBeGreaterThan(0);
    const errors = new Set(carrying.map((tx) => Buffer.from(tx.meta.err!.err, "base64").readUInt32LE(9)));
    expect(errors).toEqual(new Set([6_001, 6_010]));
  });

  test("precompiles before the program's instruction", () => {
    const shifted = ok.filter((tx) => {
      const order = programs(tx);
      const precompile = order.findIndex((p) => p === PROGRAMS.ed25519.text || p === PROGRAMS.secp256k1.text);
      return precompile >= 0 && precompile < order.lastIndexOf(DEFAULT_PROGRAM);
    });
    expect(shifted.length).toBeGreaterThan(0);
  });

  test("the program called by a router, and loaded from a lookup table", () => {
    const routed = walks.filter((w) =>
      w.invocations.some((i) => i.program === DEFAULT_PROGRAM && i.parent === PROGRAMS.router.text),
    );
    expect(routed.length).toBeGreaterThan(0);
    const loaded = ok.filter((tx) =>
      (tx.meta.loadedReadonlyAddresses ?? []).some(
        (key) => bs58.encode(Buffer.from(key, "base64")) === DEFAULT_PROGRAM,
      ),
    );
    expect(loaded.length).toBeGreaterThan(0);
    expect(count(ok, (tx) => tx.transaction.message.versioned !== true)).toBeGreaterThan(0);
  });

  test("events by emit_cpi and by log, never the same one twice", () => {
    const self = (i: Invocation) => i.program === DEFAULT_PROGRAM && i.parent === DEFAULT_PROGRAM;
    expect(count(walks, (w) => w.invocations.some(self))).toBeGreaterThan(0);
    for (const { order } of walks) {
      const own = order.filter((e) => e.invocation.program === DEFAULT_PROGRAM);
      const payloads = own.flatMap((e) => (e.payload === null ? [e.invocation.data.subarray(8)] : [e.payload]));
      const texts = payloads.filter(looksLikeEvent).map((p) => p.toString("hex"));
      expect(new Set(texts).size).toBe(texts.length);
    }
  });

  test("foreign programs with the program's discriminators, in logs and in self-CPIs", () => {
    const foreign = walks.flatMap((w) => w.order.filter((e) => e.invocation.program !== DEFAULT_PROGRAM));
    expect(count(foreign, (e) => e.payload !== null && looksLikeEvent(e.payload))).toBeGreaterThan(0);
    expect(count(foreign, (e) => e.payload !== null && !looksLikeEvent(e.payload))).toBeGreaterThan(0);
    const tagged = (e: (typeof foreign)[number]) =>
      e.payload === null && e.invocation.data.toString("hex", 0, 8) === "e445a52e51cb9a1d";
    expect(count(foreign, tagged)).toBeGreaterThan(0);
    const inside = (w: (typeof walks)[number]) =>
      w.invocations.some((i) => i.program === PROGRAMS.hook.text && i.parent === DEFAULT_PROGRAM);
    expect(count(walks, inside)).toBeGreaterThan(0);
  });

  test("transactions that only mention the program", () => {
    expect(count(ok, (tx) => !programs(tx).includes(DEFAULT_PROGRAM))).toBeGreaterThan(0);
  });

  test("log lines that deceive", () => {
    const lines = ok.flatMap(logs);
    const imitation = `Program log: Program ${DEFAULT_PROGRAM} success`;
    for (const part of [
      "updated successfully!",
      "previous attempt failed",
      imitation,
      "Program log: Program data: ",
      "Program return: ",
    ]) {
      expect(
        count(lines, (line) => line.includes(part)),
        part,
      ).toBeGreaterThan(0);
    }
    expect(count(lines, (line) => line.includes(`\nProgram ${DEFAULT_PROGRAM} success`))).toBeGreaterThan(0);
  });

  test("truncated logs that lose an event, never one behind the mark", () => {
    const truncated = ok.filter((tx) => logs(tx).includes("Log truncated"));
    expect(truncated.length).toBeGreaterThan(0);
    for (const tx of truncated) {
      const rest = logs(tx).slice(logs(tx).indexOf("Log truncated"));
      expect(rest.some((line) => line.startsWith("Program data: "))).toBe(false);
      expect(count(programs(tx), (program) => program === DEFAULT_PROGRAM)).toBeGreaterThan(1);
    }
    expect(count(truncated, (tx) => logs(tx).at(-1) !== "Log truncated")).toBeGreaterThan(0);
  });

  test("unknown discriminators and payloads for the quarantine", () => {
    expect(found.unknown).toBeGreaterThan(0);
    expect(found.quarantine.length).toBeGreaterThan(0);
    expect(count(found.events, (e) => e.ordinal > 0)).toBeGreaterThan(0);
  });

  test("token balances as bulk", () => {
    expect(count(ok, (tx) => (tx.meta.preTokenBalances?.length ?? 0) > 0)).toBeGreaterThan(ok.length / 2);
  });
});

test("votes and foreign trades are in whole blocks only", () => {
  const votes = ({ transactions }: Run) => count(transactions, (tx) => programs(tx).includes(PROGRAMS.vote.text));
  expect(votes(whole)).toBeGreaterThan(300);
  expect(votes(filtered)).toBe(0);
  expect(count(whole.transactions, (tx) => !accountsOf(tx).includes(DEFAULT_PROGRAM))).toBeGreaterThan(votes(whole));
  expect(filtered.transactions.every((tx) => accountsOf(tx).includes(DEFAULT_PROGRAM))).toBe(true);
});

test("empty blocks come in both shapes", () => {
  const empty = filtered.blocks.filter((block) => readOutput(block).transactions.length === 0);
  expect(count(empty, (block) => block.output === null)).toBeGreaterThan(0);
  expect(count(empty, (block) => block.output?.value.length === 0)).toBeGreaterThan(0);
});

test("whole blocks name their parents", () => {
  let parent: { slot: unknown; hash: unknown } | null = null;
  for (const block of whole.blocks) {
    const head = readOutput(block).message!.toJson() as Record<string, unknown>;
    expect(head["blockhash"]).toBe(block.hash);
    expect(Number(head["slot"])).toBe(block.slot);
    expect((head["blockTime"] as { timestamp: string }).timestamp).toBe(`${block.time}`);
    if (parent !== null)
      expect([Number(head["parentSlot"]), head["previousBlockhash"]]).toEqual([parent.slot, parent.hash]);
    parent = { slot: block.slot, hash: block.hash };
  }
});

test("another program can be simulated", () => {
  const program = PROGRAMS.exchange.text;
  const { blocks } = run({ seed: 1, blocks: 10, output: "transactions", program });
  expect(findEvents(blocks, program).events.length).toBeGreaterThan(10);
  expect(findEvents(blocks, DEFAULT_PROGRAM).events.length).toBe(0);
});
