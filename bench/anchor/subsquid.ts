/** `@subsquid/borsh`: base64 text to an object with bigints and base58 addresses. */
import { address, bool, type Codec, i64, Src, string, struct, u8, u16, u32, u64, u128 } from "@subsquid/borsh";
import type { BorshField } from "../../stages/decode/borsh.ts";
import type { EventSpec, ProgramSpec } from "../../stages/decode/program.ts";
import { discriminatorOf } from "../../stages/decode/program-decoder.ts";
import type { Decoder } from "./contender.ts";
import { canonical } from "./events.ts";

type Values = Record<string, unknown>;
const SCALARS: Readonly<Record<string, Codec<unknown>>> = {
  ...{ pubkey: address, bool, string, u8, u16, u32, u64, u128, i64 },
};

export class SubsquidDecoder implements Decoder {
  private readonly payloads: readonly string[];
  private readonly events: ReadonlyMap<bigint, { readonly event: EventSpec; readonly codec: Codec<Values> }>;

  constructor(spec: ProgramSpec, payloads: readonly string[]) {
    this.payloads = payloads;
    this.events = new Map(
      spec.events.map((event) => [
        Buffer.from(discriminatorOf(event, spec.name)).readBigUInt64LE(),
        { event, codec: struct(Object.fromEntries(event.layouts[0]!.map(codecOf))) as unknown as Codec<Values> },
      ]),
    );
  }

  pass(): number {
    let sum = 0;
    for (const text of this.payloads) if (this.decode(text).values !== undefined) sum++;
    return sum;
  }

  lines(): string[] {
    return this.payloads.map((text) => {
      const { event, values } = this.decode(text);
      return canonical(event.name, event.layouts[0]!, (name) => values[name]);
    });
  }

  private decode(text: string): { event: EventSpec; values: Values } {
    const bytes = Buffer.from(text, "base64");
    const { event, codec } = this.events.get(bytes.readBigUInt64LE())!;
    return { event, values: codec.decode(new Src(bytes.subarray(8))) };
  }
}

function codecOf({ name, type }: BorshField): [string, Codec<unknown>] {
  return [name, SCALARS[String(type)]!];
}
