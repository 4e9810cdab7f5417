/**
 * An instruction compiled: its arguments by layout, as an event's fields are, and its accounts by name. An account that
 * the instruction was not given, and one that Anchor marks as absent, is null; those beyond the named ones are kept in
 * `remaining_accounts`.
 */
import type { ColumnSpec, DatasetSpec } from "../../pipeline/datasets/dataset.ts";
import { EVENT_COLUMNS, eventDataset } from "../../pipeline/datasets/event.ts";
import { Fatal } from "../../pipeline/errors.ts";
import { type AddressSource, addressSource } from "./address-source.ts";
import { setApart, twoFields, unionOfColumns } from "./dataset-columns.ts";
import { type DatasetHealth, emptyDatasetHealth } from "./health.ts";
import { Layout } from "./layout.ts";
import { type CompiledLayout, LayoutChoice, leavesOfColumns } from "./layout-choice.ts";
import { columnNameOf, requireIdentifier } from "./names.ts";
import type { AccountGroups, InstructionForm, InstructionSpec, ProgramSpec } from "./program.ts";

export const REMAINING_ACCOUNTS = "remaining_accounts";

/** One discriminator of an instruction, with its accounts and layouts. */
export class CompiledForm extends LayoutChoice {
  readonly instruction: InstructionDecoder;
  readonly discriminator: Uint8Array;
  /** Place of an account by name. */
  readonly accountIndex: ReadonlyMap<string, number>;
  readonly accounts: number;
  readonly groups: AccountGroups | null;
  /** For each account column of the dataset its place, or -1. */
  readonly indexOfColumn: readonly number[];

  constructor(instruction: InstructionDecoder, form: InstructionForm, layouts: readonly CompiledLayout[]) {
    super(layouts);
    this.instruction = instruction;
    this.discriminator = Uint8Array.from(form.discriminator);
    this.accountIndex = new Map(form.accounts.map((name, i) => [name, i]));
    this.accounts = form.accounts.length;
    this.groups = form.groups ?? null;
    this.indexOfColumn = instruction.accountNames.map((name) => this.accountIndex.get(name) ?? -1);
  }
}

export class InstructionDecoder {
  readonly name: string;
  /** Null when nobody asked for its rows: it lends names to its accounts. */
  readonly dataset: DatasetSpec | null;
  readonly forms: readonly CompiledForm[];
  /** Accounts of all forms, in the order of their columns; the one that names the token is the column `mint`. */
  readonly accountNames: readonly string[];
  /** Column of the first account. */
  readonly firstAccount: number;
  /** How decoding it has fared. */
  readonly health: DatasetHealth = emptyDatasetHealth();

  constructor(program: ProgramSpec, spec: InstructionSpec) {
    const where = `${program.name}.${spec.name}`;
    this.name = spec.name;
    const accounts = new Set(spec.forms.flatMap((form) => form.accounts));
    this.accountNames = [...accounts].filter((account) => account !== spec.mint);
    const layouts = spec.forms.map((form) => form.layouts.map((fields) => new Layout(fields)));
    const args = unionOfColumns(layouts.flat(), spec.mint, where);
    this.dataset = spec.dataset === undefined ? null : datasetOf(spec, spec.dataset, args, this.accountNames, where);
    this.firstAccount = EVENT_COLUMNS.length + args.length;
    this.forms = spec.forms.map((form, i) => {
      mustBegin(form, where);
      const compiled =
        this.dataset === null ? [] : layouts[i]!.map((layout) => this.compile(layout, form, spec, where));
      return new CompiledForm(this, form, compiled);
    });
  }

  private compile(layout: Layout, form: InstructionForm, spec: InstructionSpec, where: string): CompiledLayout {
    const claimed = spec.mint === undefined ? -1 : layout.indexOf(spec.mint);
    const args = this.dataset!.columns.slice(0, this.firstAccount);
    return {
      layout,
      mint: mintOf(layout, form, spec, where),
      leafOfColumn: leavesOfColumns(layout, { ...this.dataset!, columns: args }, claimed),
      trade: null,
    };
  }
}

/** An argument or account by name, else the token of one of the named token accounts. */
function mintOf(layout: Layout, form: InstructionForm, spec: InstructionSpec, where: string): AddressSource | null {
  const { mint } = spec;
  if (mint !== undefined && layout.indexOf(mint) >= 0) return addressSource(mint, layout, where);
  const index = mint === undefined ? -1 : form.accounts.indexOf(mint);
  if (index >= 0) return (_, around, found) => around.accountAt(index, found);
  const places = (spec.tokenAccounts ?? []).map((name) => form.accounts.indexOf(name)).filter((place) => place >= 0);
  if (places.length === 0) return null;
  return (_, around, found) => places.some((place) => around.mintOfTokenAccount(place, found));
}

function datasetOf(
  spec: InstructionSpec,
  name: string,
  args: readonly ColumnSpec[],
  accounts: readonly string[],
  where: string,
): DatasetSpec {
  const taken = new Set(args.map((column) => column.name));
  const columns = accounts.map((account): ColumnSpec => {
    const own = setApart(columnNameOf(account).replaceAll(".", "_"), "account");
    const column = requireIdentifier(taken.has(own) ? `account_${own}` : own, "column", where);
    if (taken.has(column)) throw twoFields(column, where);
    taken.add(column);
    return { name: column, type: "bytes32", nullable: true, doc: `Account ${account} of the instruction.` };
  });
  const remaining: ColumnSpec = {
    name: REMAINING_ACCOUNTS,
    type: "json",
    nullable: true,
    doc: "Accounts after the named ones, base58, in order; null when there are none.",
  };
  return eventDataset({
    name: requireIdentifier(name, "dataset", where),
    version: 1,
    doc: spec.doc ?? `Instructions ${spec.name}.`,
    fields: [...args, ...columns, remaining],
  });
}

function mustBegin({ discriminator }: InstructionForm, where: string): void {
  if (discriminator.length >= 1 && discriminator.every((b) => Number.isInteger(b) && b >= 0 && b <= 255)) return;
  throw new Fatal("INSTRUCTION_DISCRIMINATOR", "the discriminator is not one byte or more", {
    where,
    hint: "Give the bytes that its data begins with.",
  });
}
