/** The events that are decoded: of a program with seven kinds, as the simulator emits them, and trades of pump.fun. */
import { createHash } from "node:crypto";
import { Simulation } from "../../simulator/index.ts";
import { BlockReader } from "../../stages/decode/block-reader.ts";
import type { BorshField } from "../../stages/decode/borsh.ts";
import type { EventSpec, ProgramSpec } from "../../stages/decode/program.ts";
import { discriminatorOf, ProgramDecoder } from "../../stages/decode/program-decoder.ts";
import { ProgramSet, parseAddress } from "../../stages/decode/program-set.ts";
import { PUMPFUN } from "../../stages/decode/programs/pumpfun.ts";
import { SPINPET } from "../../stages/decode/programs/spinpet.ts";
import { readBlock } from "../../stages/decode/response-fixture.ts";

export const CASES: Readonly<Record<string, ProgramSpec>> = {
  spinpet: newestOnly(SPINPET),
  pumpfun: newestOnly({ ...PUMPFUN, events: [numbersOnly(PUMPFUN.events[0]!)] }),
};

/** The libraries know one layout of an event, so ours gets one, too. */
function newestOnly(spec: ProgramSpec): ProgramSpec {
  return { ...spec, events: spec.events.map((event) => ({ ...event, layouts: event.layouts.slice(0, 1) })) };
}

/** Its layouts without texts and lists, which every library shows in another way; what makes a trade of it may be missing there. */
function numbersOnly({ trade: _, ...event }: EventSpec): EventSpec {
  const isNumber = ({ type }: BorshField) => typeof type === "string" && type !== "string";
  return { ...event, layouts: event.layouts.filter((layout) => layout.every(isNumber)) };
}

const TRADES = 2_000;
const DATA = "Program data: ";

/** What stands after `Program data: ` in the logs: base64, as all contenders get it. */
export function payloadsOf(name: string): string[] {
  return name === "spinpet" ? simulated() : Array.from({ length: TRADES }, (_, i) => pumpTrade(i));
}

function simulated(): string[] {
  const simulation = new Simulation({ seed: 1, blocks: 12, output: "transactions", profile: "dense", truth: false });
  const reader = new BlockReader(new ProgramSet([parseAddress(SPINPET.programId, "bench")]));
  const program = new ProgramDecoder(CASES["spinpet"]!);
  const found: string[] = [];
  for (const { kind, response } of simulation.messages()) {
    if (kind !== "block") continue;
    const { payload } = readBlock(response);
    reader.read(payload, "sf.substreams.solana.v1.Transactions");
    for (let line = 0; line < reader.logStart.length; line++) {
      const text = Buffer.from(payload.subarray(reader.logStart.at(line), reader.logEnd.at(line))).toString();
      if (!text.startsWith(DATA)) continue;
      const base64 = text.slice(DATA.length);
      const bytes = new Uint8Array(Buffer.from(base64, "base64"));
      const event = program.find(bytes, 0);
      // The market also has damaged and older events, which the libraries would refuse.
      const whole = event?.choose(bytes, 8, bytes.length);
      if (typeof whole === "object" && event?.leftOver === 0) found.push(base64);
    }
  }
  return found;
}

/** A trade with values of its own. */
function pumpTrade(i: number): string {
  const { name, layouts } = CASES["pumpfun"]!.events[0]!;
  const parts = layouts[0]!.map((field) => fieldBytes(field, i));
  return Buffer.concat([discriminatorOf({ name }, "bench"), ...parts]).toString("base64");
}

function fieldBytes({ name, type }: BorshField, i: number): Uint8Array {
  const random = createHash("sha512").update(`${name} ${i}`).digest();
  if (type === "pubkey") return random.subarray(0, 32);
  if (type === "bool") return Uint8Array.of(random[0]! & 1);
  return random.subarray(0, 8);
}

/** The fields of an event as text, whatever made them: what contenders are held against each other by. */
export function canonical(event: string, fields: readonly BorshField[], read: (name: string) => unknown): string {
  return [event, ...fields.map(({ name }) => `${name}=${String(read(name))}`)].join(" ");
}
