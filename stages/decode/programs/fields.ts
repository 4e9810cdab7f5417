/** Fields in short, for the presets of this folder. */
import type { BorshField, BorshScalar } from "../borsh.ts";
import type { AccountGroups, InstructionForm, InstructionSpec } from "../program.ts";
import { anchorHash } from "../program-decoder.ts";

/** "a b c" as fields of one type. */
export function fields(type: BorshScalar, names: string): BorshField[] {
  return names.split(" ").map((name) => ({ name, type }));
}

export const keys = (names: string) => fields("pubkey", names);
export const u64s = (names: string) => fields("u64", names);
export const bools = (names: string) => fields("bool", names);
export const texts = (names: string) => fields("string", names);

/**
 * The layouts of an event that programs have appended fields to, the newest first: every list of `appended` is what one
 * upgrade added to all before it.
 */
export function grown(first: readonly BorshField[], ...appended: readonly (readonly BorshField[])[]): BorshField[][] {
  return appended.map((_, age) => [...first, ...appended.slice(0, appended.length - age).flat()]).concat([[...first]]);
}

/** An enum whose variants carry nothing. */
export function variants(name: string, names: string): BorshField {
  return { name, type: { enum: names.split(" ").map((variant) => ({ name: variant })) } };
}

/** An instruction of an Anchor program; `accounts` are names separated by spaces, `groups` come after them. */
export function anchorInstruction(
  name: string,
  accounts: string,
  args: readonly (readonly BorshField[])[],
  more: Omit<InstructionSpec, "name" | "forms"> = {},
  groups?: AccountGroups,
): InstructionSpec {
  const form: InstructionForm = {
    discriminator: [...anchorHash(`global:${name}`)],
    accounts: accounts.split(" "),
    layouts: args,
    ...(groups === undefined ? {} : { groups }),
  };
  return { name, forms: [form], ...more };
}
