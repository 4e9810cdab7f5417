/** A program compiled: discriminator to event, first bytes to instruction. */
import { createHash } from "node:crypto";
import { Fatal } from "../../pipeline/errors.ts";
import { EventDecoder, noMint } from "./event-decoder.ts";
import { type CompiledForm, InstructionDecoder } from "./instruction-decoder.ts";
import type { EventForm, EventName, EventSpec, ProgramSpec } from "./program.ts";
import { parseAddress } from "./program-set.ts";

export const DISCRIMINATOR_BYTES = 8;

/** What a discriminator stands for: a decoder, or an event that is known but not wanted. */
interface Entry {
  readonly high: number;
  readonly name: string;
  readonly decoder: EventDecoder | null;
}

export class ProgramDecoder {
  readonly name: string;
  readonly id: Uint8Array;
  /** In the order of the description; then those that say the same as one of them. */
  readonly events: readonly EventDecoder[];
  readonly instructions: readonly InstructionDecoder[];
  /** Some instruction has rows. */
  readonly decodesInstructions: boolean;
  private readonly batch: number;
  /** By the first four bytes of the discriminator; nearly always one entry. */
  private readonly entries = new Map<number, Entry[]>();
  /** By first byte, the longest discriminator first. */
  private readonly forms = new Map<number, CompiledForm[]>();

  constructor(spec: ProgramSpec) {
    this.name = spec.name;
    this.id = parseAddress(spec.programId, `program ${spec.name}`);
    const entered = (event: EventSpec, form: EventForm) => {
      const decoder = new EventDecoder(spec, event, form);
      this.enter(form, decoder);
      return decoder;
    };
    this.events = [
      ...spec.events.map((event) => entered(event, event)),
      ...spec.events.flatMap((event) => (event.also ?? []).map((form) => entered(event, form))),
    ];
    for (const event of spec.unwanted ?? []) this.enter(event, null);
    this.instructions = (spec.instructions ?? []).map((instruction) => new InstructionDecoder(spec, instruction));
    this.decodesInstructions = this.instructions.some(({ dataset }) => dataset !== null);
    for (const form of this.instructions.flatMap(({ forms }) => forms)) this.enterForm(form);
    this.batch = spec.batch ?? -1;
    const { mintField } = spec;
    const isUsed = spec.events.some((event, i) => event.mintField === undefined && this.events[i]!.hasMint);
    if (mintField !== undefined && !isUsed) throw noMint(mintField, `program ${spec.name}`);
  }

  /** The decoder for the eight bytes at `at`; null for an unwanted event, undefined for an unknown one. */
  find(bytes: Uint8Array, at: number): EventDecoder | null | undefined {
    const entries = this.entries.get(word(bytes, at));
    if (entries === undefined) return undefined;
    const high = word(bytes, at + 4);
    for (const entry of entries) if (entry.high === high) return entry.decoder;
    return undefined;
  }

  /** The instruction whose data is `bytes[start, end)` is a list of instructions. */
  isBatch(bytes: Uint8Array, start: number, end: number): boolean {
    return start < end && bytes[start] === this.batch;
  }

  /** The form of the instruction whose data is `bytes[start, end)`; undefined for an unknown one. */
  instructionAt(bytes: Uint8Array, start: number, end: number): CompiledForm | undefined {
    if (start >= end) return undefined;
    return this.forms.get(bytes[start]!)?.find(({ discriminator }) => begins(bytes, start, end, discriminator));
  }

  private enter(event: EventName, decoder: EventDecoder | null): void {
    const bytes = discriminatorOf(event, this.name);
    const low = word(bytes, 0);
    const high = word(bytes, 4);
    const entries = this.entries.get(low) ?? [];
    const other = entries.find((entry) => entry.high === high);
    if (other !== undefined) throw sameDiscriminator(event.name, other.name, this.name);
    entries.push({ high, name: event.name, decoder });
    this.entries.set(low, entries);
  }

  private enterForm(form: CompiledForm): void {
    const { discriminator } = form;
    const others = this.forms.get(discriminator[0]!) ?? [];
    const same = others.find((other) => Bun.deepEquals(other.discriminator, discriminator));
    if (same !== undefined) throw sameDiscriminator(form.instruction.name, same.instruction.name, this.name);
    others.push(form);
    this.forms.set(
      discriminator[0]!,
      others.sort((a, b) => b.discriminator.length - a.discriminator.length),
    );
  }
}

/** Anchor's rule: the first eight bytes of sha256("event:" + name), unless the IDL names others. */
export function discriminatorOf(event: EventName, program: string): Uint8Array {
  if (event.discriminator === undefined) return anchorHash(`event:${event.name}`);
  const bytes = Uint8Array.from(event.discriminator);
  if (bytes.length !== DISCRIMINATOR_BYTES || event.discriminator.some((b, i) => b !== bytes[i])) {
    throw new Fatal("EVENT_DISCRIMINATOR", `the discriminator of ${event.name} is not eight bytes`, {
      where: `program ${program}`,
      hint: "Shorter or longer discriminators are not supported.",
    });
  }
  return bytes;
}

/** The first eight bytes of sha256: how Anchor names events ("event:Name") and instructions ("global:name"). */
export function anchorHash(text: string): Uint8Array {
  return createHash("sha256").update(text).digest().subarray(0, DISCRIMINATOR_BYTES);
}

function begins(bytes: Uint8Array, start: number, end: number, prefix: Uint8Array): boolean {
  if (end - start < prefix.length) return false;
  for (let i = 0; i < prefix.length; i++) if (bytes[start + i] !== prefix[i]) return false;
  return true;
}

function sameDiscriminator(a: string, b: string, program: string): Fatal {
  return new Fatal("EVENT_DISCRIMINATOR", `${a} and ${b} have the same discriminator`, {
    where: `program ${program}`,
    hint: "Give the layouts of one event or instruction in one place.",
  });
}

function word(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
}
