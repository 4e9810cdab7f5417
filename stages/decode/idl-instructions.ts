/** The instructions of an Anchor IDL, of either form: their discriminators, accounts and arguments. */
import { Fatal } from "../../pipeline/errors.ts";
import { invalid, type Json, listOf, numbersOf, objectOf, textOf } from "./idl-json.ts";
import { IdlTypes } from "./idl-types.ts";
import { snakeCase } from "./names.ts";
import type { InstructionForm, InstructionSpec } from "./program.ts";
import { anchorHash } from "./program-decoder.ts";

export interface InstructionChoice {
  readonly dataset?: string;
  readonly mint?: string;
}

interface Declaration {
  readonly name: string;
  readonly json: Json;
  readonly types: IdlTypes;
  readonly where: string;
}

/**
 * `wanted`: the instructions to have rows, with what is said of them; null for all. Every other instruction is there for the
 * names of its accounts, and its arguments are not read. `versions`: the current IDL first.
 */
export function instructionsOf(
  versions: readonly (readonly [root: Json, at: string])[],
  wanted: ReadonlyMap<string, InstructionChoice> | null,
  prefix: string,
): InstructionSpec[] {
  const declared = versions.flatMap(([root, at]) => declarationsOf(root, at));
  const byName = Map.groupBy(declared, ({ name }) => name);
  for (const name of wanted?.keys() ?? []) {
    if (!byName.has(name)) throw unknownInstruction(name, [...byName.keys()]);
  }
  return [...byName].map(([name, ways]): InstructionSpec => {
    const choice = wanted === null ? {} : wanted.get(name);
    if (choice === undefined) return { name, forms: [formOf(ways[0]!, [])] };
    const { types, json } = ways[0]!;
    const doc = types.docOf(json);
    const mint = choice.mint ?? mintAmong(ways[0]!);
    return {
      name,
      dataset: choice.dataset ?? `${prefix}ix_${name}`,
      ...(doc === undefined ? {} : { doc }),
      ...(mint === undefined ? {} : { mint }),
      forms: formsOf(ways),
    };
  });
}

/** Ways with the same discriminator and accounts are layouts of one form; a changed list of accounts goes by the newest names. */
function formsOf(ways: readonly Declaration[]): InstructionForm[] {
  const byStart = Map.groupBy(ways, (way) => discriminatorOf(way).join(","));
  return [...byStart.values()].map((same) => formOf(same[0]!, same));
}

function formOf(current: Declaration, layouts: readonly Declaration[]): InstructionForm {
  const { json, where } = current;
  const read = layouts.map((way) => way.types.fieldsOf(way.json["args"] ?? [], `${way.where}.args`));
  return {
    discriminator: discriminatorOf(current),
    accounts: accountsOf(json["accounts"] ?? [], `${where}.accounts`, ""),
    layouts: read.filter((layout, i) => read.findIndex((other) => Bun.deepEquals(layout, other)) === i),
  };
}

function declarationsOf(root: Json, at: string): Declaration[] {
  const types = new IdlTypes(root, at);
  return listOf(root["instructions"] ?? [], `${at}.instructions`).map((raw, i) => {
    const where = `${at}.instructions[${i}]`;
    const json = objectOf(raw, where);
    return { name: snakeCase(textOf(json["name"], `${where}.name`)), json, types, where };
  });
}

function discriminatorOf({ name, json, where }: Declaration): readonly number[] {
  // Programs without Anchor, described by shank: one number, or the bytes.
  if (json["discriminant"] !== undefined) {
    const { value } = objectOf(json["discriminant"], `${where}.discriminant`);
    return numbersOf(Array.isArray(value) ? value : [value], `${where}.discriminant`);
  }
  if (json["discriminator"] === undefined) return [...anchorHash(`global:${name}`)];
  return numbersOf(json["discriminator"], `${where}.discriminator`);
}

/** Characters of the place of an account: groups are no deeper. */
const GROUPS_MAX = 500;

/** Accounts in order; those of a group bear its name in front. */
function accountsOf(value: unknown, where: string, group: string): string[] {
  if (where.length > GROUPS_MAX) throw invalid("accounts in fewer groups", value, where.slice(0, GROUPS_MAX));
  return listOf(value, where).flatMap((raw, i) => {
    const at = `${where}[${i}]`;
    const json = objectOf(raw, at);
    const name = `${group}${snakeCase(textOf(json["name"], `${at}.name`))}`;
    return json["accounts"] === undefined ? [name] : accountsOf(json["accounts"], `${at}.accounts`, `${name}_`);
  });
}

/** Nearly every program calls it so; others say it in the configuration. */
function mintAmong({ json, where }: Declaration): string | undefined {
  const accounts = accountsOf(json["accounts"] ?? [], `${where}.accounts`, "");
  return ["mint", "base_mint", "base_token_mint", "token_mint"].find((name) => accounts.includes(name));
}

function unknownInstruction(name: string, known: readonly string[]): Fatal {
  return new Fatal("IDL_INSTRUCTION", `there is no instruction ${name}`, {
    where: "idl.instructions",
    hint: `The IDL has: ${known.join(", ") || "no instructions"}.`,
  });
}
