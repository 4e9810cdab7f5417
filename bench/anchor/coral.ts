/** `@coral-xyz/anchor`: its event coder on the same program, described as an IDL; big numbers are BN, addresses PublicKey. */
import { BorshEventCoder, type Idl } from "@coral-xyz/anchor";
import type { ProgramSpec } from "../../stages/decode/program.ts";
import { discriminatorOf } from "../../stages/decode/program-decoder.ts";
import type { Decoder } from "./contender.ts";
import { canonical } from "./events.ts";

export class AnchorDecoder implements Decoder {
  private readonly spec: ProgramSpec;
  private readonly payloads: readonly string[];
  private readonly coder: BorshEventCoder;

  constructor(spec: ProgramSpec, payloads: readonly string[]) {
    this.spec = spec;
    this.payloads = payloads;
    this.coder = new BorshEventCoder(idlOf(spec));
  }

  pass(): number {
    let sum = 0;
    for (const text of this.payloads) if (this.coder.decode(text) !== null) sum++;
    return sum;
  }

  lines(): string[] {
    return this.payloads.map((text) => {
      const decoded = this.coder.decode(text)!;
      const event = this.spec.events.find(({ name }) => name === decoded.name)!;
      return canonical(event.name, event.layouts[0]!, (name) => (decoded.data as Record<string, unknown>)[name]);
    });
  }
}

function idlOf(spec: ProgramSpec): Idl {
  const idl = {
    address: spec.programId,
    metadata: { name: spec.name, version: "0.1.0", spec: "0.1.0" },
    instructions: [],
    events: spec.events.map((event) => ({ name: event.name, discriminator: [...discriminatorOf(event, spec.name)] })),
    types: spec.events.map(({ name, layouts }) => ({
      name,
      type: { kind: "struct", fields: layouts[0]!.map((field) => ({ name: field.name, type: field.type })) },
    })),
  };
  return idl as unknown as Idl;
}
