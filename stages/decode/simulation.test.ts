/**
 * Goal: decoding a chain with every nuisance gives the rows that happened, to the last column. Method: the market simulator
 * keeps a ledger of its own, written apart from this decoder; its canonical lines must equal those of the rows decoded from
 * its blocks, after undos.
 */
import { expect, test } from "bun:test";
import bs58 from "bs58";
import type { Cell } from "../../pipeline/wire/column.ts";
import type { Table } from "../../pipeline/wire/table.ts";
import { OUTPUTS, type OutputKind, Simulation } from "../../simulator/index.ts";
import { SPINPET } from "./programs/spinpet.ts";
import { readBlock } from "./response-fixture.ts";
import { DecodeStage } from "./stage.ts";

const LEFT_OUT = ["tx_index", "event_index", "reason", "detail", "discriminator"];

/** A row as the simulator writes it. */
function lineOf(table: Table, row: number): string {
  const columns = table.columns.filter(({ spec }) => !LEFT_OUT.includes(spec.name));
  const isQuarantine = table.spec.name === "quarantine";
  return columns
    .filter(({ spec }) => !(isQuarantine && spec.name === "mint"))
    .map((column) => textOf(column.cell(row), column.spec.type === "bytes"))
    .join("|");
}

function textOf(cell: Cell, isHex: boolean): string {
  if (cell === null) return "";
  if (cell instanceof Uint8Array) return isHex ? Buffer.from(cell).toString("hex") : bs58.encode(cell);
  return typeof cell === "boolean" ? String(Number(cell)) : String(cell);
}

test.each<[OutputKind, number]>([
  ["transactions", 11],
  ["block", 12],
])("a simulated chain of %s decodes to its truth", (output, seed) => {
  const simulation = new Simulation({ seed, blocks: 300, output, truth: "lines", rates: { wrappedProfit: 0.2 } });
  const stage = new DecodeStage({ programs: [SPINPET] });
  let rows: { slot: number; dataset: string; line: string }[] = [];
  for (const { kind, slot, response } of simulation.messages()) {
    if (kind === "undo") {
      rows = rows.filter((row) => row.slot <= slot);
      continue;
    }
    const { block, payload } = readBlock(response);
    expect(block.slot).toBe(slot);
    const { tables } = stage.apply({ blocks: [block], payloads: [payload], typeName: OUTPUTS[output].typeName });
    for (const [dataset, table] of tables) {
      for (let i = 0; i < table.length; i++) rows.push({ slot, dataset, line: lineOf(table, i) });
    }
  }
  const truth = simulation.truth();
  for (const dataset of stage.catalog.keys()) {
    const lines = rows.filter((row) => row.dataset === dataset).map((row) => row.line);
    expect({ [dataset]: lines }).toEqual({ [dataset]: [...truth.lines![dataset]!] });
  }
  expect(truth.eventsTotal).toBeGreaterThan(500);
  expect(truth.quarantined).toBeGreaterThan(0);
  expect(stage.health()).toMatchObject({
    badBlocks: 0,
    unattributedData: 0,
    programs: { spinpet: { unmatchedInvocations: 0 } },
  });
});
