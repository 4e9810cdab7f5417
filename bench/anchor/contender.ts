/** One contender in a process of its own: `bun contender.ts NAME CASE`. Libraries are loaded by those who use them. */
import { createHash } from "node:crypto";
import { passesPerSecond, report } from "../harness.ts";
import { CASES, payloadsOf } from "./events.ts";

export interface Decoder {
  /** Decodes all payloads and returns something that depends on each of them. */
  pass(): number;
  /** Each payload's event with all its fields, canonically. */
  lines(): string[];
}

const WARM_UP_PASSES = 3;

async function decoderOf(name: string, which: string): Promise<Decoder> {
  const spec = CASES[which]!;
  const payloads = payloadsOf(which);
  if (name === "ours") return new (await import("./ours.ts")).OurDecoder(spec, payloads);
  if (name === "@subsquid/borsh") return new (await import("./subsquid.ts")).SubsquidDecoder(spec, payloads);
  return new (await import("./coral.ts")).AnchorDecoder(spec, payloads);
}

const [name = "ours", which = "spinpet"] = process.argv.slice(2);
const decoder = await decoderOf(name, which);
const lines = decoder.lines();
const digest = createHash("sha256").update(lines.join("\n")).digest("hex");
for (let i = 0; i < WARM_UP_PASSES; i++) decoder.pass();
let sum = 0;
const perSecond = passesPerSecond(() => {
  sum += decoder.pass();
});
if (sum === 0) throw new Error("nothing was decoded");
report((lines.length * perSecond) / 1e6, digest);
