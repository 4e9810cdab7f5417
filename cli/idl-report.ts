/** What an Anchor IDL would be decoded into: each event's and instruction's dataset and columns, what is left out and why. */
import { closest } from "../pipeline/closest.ts";
import type { ColumnSpec } from "../pipeline/datasets/dataset.ts";
import { EVENT_COLUMNS } from "../pipeline/datasets/event.ts";
import { Fatal } from "../pipeline/errors.ts";
import { isOutside } from "../stages/decode/address-source.ts";
import { type IdlOptions, programFromIdl } from "../stages/decode/idl.ts";
import { snakeCase } from "../stages/decode/names.ts";
import type { EventSpec, InstructionSpec } from "../stages/decode/program.ts";
import { discriminatorOf, ProgramDecoder } from "../stages/decode/program-decoder.ts";
import { parseAddress } from "../stages/decode/program-set.ts";
import type { IdlCheckOptions } from "./idl.ts";
import { type CommandIo, cellText, paint } from "./output.ts";

export interface DatasetReport {
  readonly name: string;
  readonly kind: "event" | "instruction";
  /** Hex: what a payload begins with. */
  readonly discriminator: string;
  readonly dataset: string;
  /** The field or account that becomes the column `mint`; null: none, and its rows belong to no token. */
  readonly mint: string | null;
  /** Its own columns; the common ones of all events come before. */
  readonly columns: readonly ColumnSpec[];
}

export interface IdlReport {
  readonly location: string;
  readonly name: string;
  readonly programId: string | null;
  readonly datasets: readonly DatasetReport[];
  /** What cannot be decoded, with the reason. */
  readonly broken: readonly {
    readonly name: string;
    readonly kind: "event" | "instruction";
    readonly reason: string;
  }[];
  readonly yaml: string;
}

/** Address that stands in where the IDL names none: nothing is decoded here. */
const NO_ADDRESS = "11111111111111111111111111111111";

export function checkIdl(idl: unknown, location: string, options: IdlCheckOptions): IdlReport {
  const base: IdlOptions = {
    programId: options.id ?? NO_ADDRESS,
    ...(options.prefix === undefined ? {} : { prefix: options.prefix }),
  };
  const bare = programFromIdl(idl, { ...base, events: [] });
  const address = options.id ?? declaredAddress(idl);
  if (address !== null) parseAddress(address, options.id === undefined ? "idl.address" : "--id");
  const datasets: DatasetReport[] = [];
  const broken: IdlReport["broken"][number][] = [];
  const collect = (name: string, kind: "event" | "instruction", more: IdlOptions) => {
    try {
      datasets.push(...datasetsOf(idl, kind, { ...base, ...more }, options.mint));
    } catch (error) {
      if (!(error instanceof Fatal)) throw error;
      broken.push({
        name,
        kind,
        reason: error.where === undefined ? error.message : `${error.message} (${error.where})`,
      });
    }
  };
  for (const { name } of bare.unwanted ?? []) collect(name, "event", { events: [name] });
  for (const { name } of options.instructions === true ? (bare.instructions ?? []) : []) {
    collect(name, "instruction", { events: [], instructions: { [name]: {} } });
  }
  const { mint } = options;
  if (mint !== undefined && !isOutside(mint) && !datasets.some((dataset) => dataset.mint === mint)) {
    const { mint: _, ...others } = options;
    throw unknownMint(mint, checkIdl(idl, location, others).datasets);
  }
  if (datasets.length === 0 && broken.length === 0) {
    const hint = "Programs without events can be decoded by their instructions: add --instructions.";
    throw new Fatal("IDL_EVENT", "the IDL describes no events", { where: location, hint });
  }
  const accounts = tokenAccounts(bare.instructions ?? []);
  const yaml = yamlFor({ location, address, options, datasets, broken, accounts });
  return { location, name: bare.name, programId: address, datasets, broken, yaml };
}

function unknownMint(mint: string, datasets: readonly DatasetReport[]): Fatal {
  const addresses = addressFields(datasets);
  const near = closest(mint, addresses);
  const fields = addresses.join(", ") || "none";
  return new Fatal("EVENT_MINT", `no event has a field ${mint.slice(0, 60)} that could name its token`, {
    where: "--mint",
    hint: `${near === null ? "" : `Did you mean ${near}? `}Fields with addresses: ${fields}; or accounts.NAME.`,
  });
}

/** Fields that could name a token, as the IDL calls them. */
function addressFields(datasets: readonly DatasetReport[]): string[] {
  const events = datasets.filter(({ kind }) => kind === "event");
  const columns = events.flatMap((event) => event.columns.filter((column) => column.type === "bytes32"));
  const fields = [...new Set(columns.map((column) => column.field ?? column.name))];
  const isLikely = (field: string) => /mint|token$/i.test(field) && !/authority/i.test(field);
  return [...fields.filter(isLikely), ...fields.filter((field) => !isLikely(field))];
}

/** Accounts of the IDL's instructions that are called like tokens: events may leave it to them to say. */
function tokenAccounts(instructions: readonly InstructionSpec[]): string[] {
  const names = instructions.flatMap(({ forms }) => forms.flatMap(({ accounts }) => accounts));
  return [...new Set(names.filter((name) => /(^|_)mint$/.test(name)))].map((name) => `accounts.${name}`);
}

function declaredAddress(idl: unknown): string | null {
  try {
    return programFromIdl(idl, { events: [] }).programId;
  } catch (error) {
    if (error instanceof Fatal && error.code === "IDL_ADDRESS") return null;
    throw error;
  }
}

/** The one dataset of a choice of one event or instruction. */
function datasetsOf(idl: unknown, kind: "event" | "instruction", options: IdlOptions, mint?: string): DatasetReport[] {
  const plain = programFromIdl(idl, options);
  const mentions = mint !== undefined && (isOutside(mint) || plain.events.some((event) => hasLeaf(event, mint)));
  const spec = mentions ? programFromIdl(idl, { ...options, mintField: mint }) : plain;
  const decoder = new ProgramDecoder(spec);
  if (kind === "event") {
    return spec.events.map((event, i) => {
      const { dataset, hasMint } = decoder.events[i]!;
      const discriminator = Buffer.from(discriminatorOf(event, spec.name)).toString("hex");
      const field = event.mintField ?? spec.mintField;
      return reportOf(event, kind, discriminator, dataset, hasMint && typeof field === "string" ? field : null);
    });
  }
  return (spec.instructions ?? []).flatMap((instruction, i) => {
    const { dataset } = decoder.instructions[i]!;
    if (dataset === null) return [];
    const discriminator = Buffer.from(instruction.forms[0]!.discriminator).toString("hex");
    return [reportOf(instruction, kind, discriminator, dataset, instruction.mint ?? null)];
  });
}

function hasLeaf(event: EventSpec, path: string): boolean {
  const first = snakeCase(path.split(".")[0]!);
  return event.layouts.some((layout) => layout.some(({ name }) => snakeCase(name) === first));
}

function reportOf(
  { name }: EventSpec | InstructionSpec,
  kind: "event" | "instruction",
  discriminator: string,
  dataset: { readonly name: string; readonly columns: readonly ColumnSpec[] },
  mint: string | null,
): DatasetReport {
  const columns = dataset.columns.slice(EVENT_COLUMNS.length);
  return { name, kind, discriminator, dataset: dataset.name, mint, columns };
}

export function printIdlReport(report: IdlReport, { stdout }: Pick<CommandIo, "stdout">): void {
  const { name, programId, datasets, broken } = report;
  const events = datasets.filter(({ kind }) => kind === "event").length;
  const instructions = datasets.length - events;
  stdout.write(`${paint(stdout, "bold", name)} ${programId ?? "(the IDL names no address: set `id`)"}\n`);
  const counted = (n: number, what: string) => `${n} ${what}${n === 1 ? "" : "s"}`;
  const also = instructions > 0 ? `, ${counted(instructions, "instruction")}` : "";
  stdout.write(`${counted(events, "event")}${also} can be decoded\n`);
  const common = EVENT_COLUMNS.map((column) => column.name).join(", ");
  stdout.write(`Every row begins with: ${common}\n`);
  for (const { name: own, kind, discriminator, dataset, mint, columns } of datasets) {
    const token = mint === null ? "no token" : `token: ${mint}`;
    stdout.write(`\n${paint(stdout, "bold", dataset)}  ${kind} ${own}, ${discriminator}, ${token}\n`);
    const width = Math.max(0, ...columns.map((column) => column.name.length));
    for (const { name: column, type, nullable, doc, field } of columns) {
      const from = field === undefined ? "" : `  from ${field}`;
      const said = doc.startsWith("Field ") || doc.startsWith("Account ") ? "" : `  ${cellText(doc)}`;
      stdout.write(`  ${column.padEnd(width)}  ${type}${nullable === true ? "?" : ""}${from}${said}\n`);
    }
  }
  for (const { name: own, kind, reason } of broken) stdout.write(`\ncannot be decoded: ${kind} ${own}: ${reason}\n`);
  stdout.write(`\n# for sluice.yaml\n${report.yaml}`);
}

function mintHint(fields: readonly string[], accounts: readonly string[]): string[] {
  const [first] = [...fields.filter((field) => /mint/i.test(field)), ...accounts, ...fields];
  if (first === undefined) return [];
  const ways = [
    ...(fields.length === 0 ? [] : [`a field: ${fields.join(", ")}`]),
    ...(accounts.length === 0 ? [] : [`an account of the instruction that emits the event: ${accounts.join(", ")}`]),
  ];
  return [`    # mint: ${first}     # what names the token, ${ways.join("; or ")}`];
}

interface Yaml {
  readonly location: string;
  readonly address: string | null;
  readonly options: IdlCheckOptions;
  readonly datasets: readonly DatasetReport[];
  readonly broken: IdlReport["broken"];
  /** That could name a token, as `mint` takes them. */
  readonly accounts: readonly string[];
}

function yamlFor({ location, address, options, datasets, broken, accounts }: Yaml): string {
  const events = datasets.filter(({ kind }) => kind === "event");
  const lines = ["programs:", `  - idl: ${JSON.stringify(location)}`];
  if (address === null)
    lines.push("    id: ADDRESS                     # the IDL does not say which program it describes");
  else if (options.id !== undefined) lines.push(`    id: ${options.id}`);
  if (options.prefix !== undefined) lines.push(`    prefix: ${options.prefix}`);
  const mint = events.find((event) => event.mint !== null)?.mint ?? null;
  if (mint !== null) lines.push(`    mint: ${mint}`);
  else lines.push(...mintHint(addressFields(datasets), accounts));
  if (broken.some(({ kind }) => kind === "event"))
    lines.push(`    only: [${events.map(({ name }) => name).join(", ")}]`);
  const instructions = datasets.filter(({ kind }) => kind === "instruction").map(({ name }) => name);
  if (instructions.length > 0) lines.push(`    instructions: [${instructions.join(", ")}]`);
  return `${lines.join("\n")}\n`;
}
