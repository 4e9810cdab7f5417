/** Our reader as a contender. */
import { BlockReader } from "../../stages/decode/block-reader.ts";
import { ProgramSet } from "../../stages/decode/program-set.ts";
import type { Extractor, Visitor } from "./extract.ts";

export class OurExtractor implements Extractor {
  private readonly reader: BlockReader;
  private readonly typeName: string;

  constructor(program: Uint8Array, typeName: string) {
    this.reader = new BlockReader(new ProgramSet([program]));
    this.typeName = typeName;
  }

  visit(payload: Uint8Array, found: Visitor): void {
    const r = this.reader;
    const { instructions } = r;
    r.read(payload, this.typeName);
    for (let t = 0; t < r.transactions; t++) {
      const signature = r.txSignature.at(t);
      found.transaction(payload.subarray(signature, signature + 64), r.txFailed.at(t) === 1);
      for (let i = r.instructionFrom.at(t); i < r.instructionFrom.at(t + 1); i++) {
        if (instructions.program.at(i) === 0) continue;
        found.instruction(payload.subarray(instructions.dataStart.at(i), instructions.dataEnd.at(i)));
      }
      for (let l = r.logFrom.at(t); l < r.logFrom.at(t + 1); l++) {
        found.log(payload.subarray(r.logStart.at(l), r.logEnd.at(l)));
      }
    }
  }

  checksum(payload: Uint8Array): number {
    const r = this.reader;
    const { instructions } = r;
    r.read(payload, this.typeName);
    let sum = 0;
    for (let t = 0; t < r.transactions; t++) {
      sum += payload[r.txSignature.at(t)]! + r.txFailed.at(t);
      for (let i = r.instructionFrom.at(t); i < r.instructionFrom.at(t + 1); i++) {
        if (instructions.program.at(i) === 0) continue;
        const start = instructions.dataStart.at(i);
        if (instructions.dataEnd.at(i) > start) sum += payload[start]!;
      }
      for (let l = r.logFrom.at(t); l < r.logFrom.at(t + 1); l++) {
        if (r.logEnd.at(l) > r.logStart.at(l)) sum += payload[r.logStart.at(l)]!;
      }
    }
    return sum;
  }
}
