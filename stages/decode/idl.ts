/**
 * Anchor IDLs (spec 0.1.0, and the older form without a spec) to program specs: bring an IDL, get datasets. Events are read,
 * instructions where asked for, and the types that these use.
 * Format: https://docs.rs/anchor-lang-idl-spec
 */
import { Fatal } from "../../pipeline/errors.ts";
import { type InstructionChoice, instructionsOf } from "./idl-instructions.ts";
import { type Json, listOf, numbersOf, objectOf, textOf } from "./idl-json.ts";
import { IdlTypes } from "./idl-types.ts";
import { snakeCase } from "./names.ts";
import {
  datasetName,
  type EventName,
  type EventSpec,
  type MintRule,
  type ProgramSpec,
  type TradeMapping,
} from "./program.ts";

export interface IdlOptions {
  /** Default: the IDL's own name. */
  readonly name?: string;
  /** Default: the IDL's own address. Older IDLs may have none. */
  readonly programId?: string;
  /** Events to decode, by name. Default: all. The others are counted as unwanted. */
  readonly events?: readonly string[];
  /** Put before the names of datasets, where two programs have events of one name: "pump_". */
  readonly prefix?: string;
  /** What names the token. Default: the field `mint`, where events have it. */
  readonly mintField?: string;
  /** Trade mappings by event name. */
  readonly trades?: Readonly<Record<string, TradeMapping>>;
  /** Datasets by event name, where the derived one is not wanted. */
  readonly datasets?: Readonly<Record<string, string>>;
  /** What names the token, by event name, where it is not `mintField`. */
  readonly mints?: Readonly<Record<string, MintRule | null>>;
  /** Instructions to have rows, by name in snake_case; "all" for all. Default: none. */
  readonly instructions?: "all" | Readonly<Record<string, InstructionChoice>>;
  /** Earlier IDLs of the program: where an event looked different then, its old layout is decoded, too. */
  readonly earlier?: readonly unknown[];
}

/** An event as one IDL declares it. */
interface Declaration {
  readonly name: string;
  readonly json: Json;
  readonly types: IdlTypes;
  readonly where: string;
}

/** Throws `Fatal` with the place in the IDL when it cannot be used. */
export function programFromIdl(idl: unknown, options: IdlOptions = {}): ProgramSpec {
  const root = objectOf(idl, "idl");
  const name = options.name ?? snakeCase(nameOf(root));
  const versions = [idl, ...(options.earlier ?? [])].map((version, i) => {
    const at = i === 0 ? "idl" : `earlier[${i - 1}]`;
    return [objectOf(version, at), at] as const;
  });
  const declared = versions.flatMap(([version, at]) => declarationsOf(version, at));
  const byName = Map.groupBy(declared, (declaration) => declaration.name);
  const wanted = new Set(options.events ?? byName.keys());
  const named = [options.trades, options.datasets, options.mints].flatMap((of) => Object.keys(of ?? {}));
  for (const event of [...wanted, ...named]) {
    if (!byName.has(event)) throw unknownEvent(event, [...byName.keys()], name);
  }
  const events = [...wanted].map((event) => eventSpecOf(byName.get(event)!, options));
  const mintField = options.mintField ?? (events.some(saysMint) ? "mint" : undefined);
  const chosen = options.instructions ?? {};
  const instructions = chosen === "all" ? null : new Map(Object.entries(chosen));
  return {
    name,
    programId: options.programId ?? addressOf(root, name),
    ...(mintField === undefined ? {} : { mintField }),
    events,
    // What nobody wants is not read further: it may use types that cannot be decoded.
    instructions: instructionsOf(versions, instructions, options.prefix ?? ""),
    unwanted: [...byName].filter(([event]) => !wanted.has(event)).map(([, declared]) => eventNameOf(declared[0]!)),
  };
}

/** A field of that name needs no configuration. */
function saysMint({ mintField, layouts }: EventSpec): boolean {
  const fields = mintField === undefined ? layouts.flat() : [];
  return fields.some(({ name, type }) => name === "mint" && type === "pubkey");
}

function declarationsOf(root: Json, at: string): Declaration[] {
  const types = new IdlTypes(root, at);
  return listOf(root["events"] ?? [], `${at}.events`).map((raw, i) => {
    const where = `${at}.events[${i}]`;
    const json = objectOf(raw, where);
    return { name: textOf(json["name"], `${where}.name`), json, types, where };
  });
}

/** `versions` are the declarations of one event, the current one first. */
function eventSpecOf(versions: readonly Declaration[], options: IdlOptions): EventSpec {
  const [current] = versions;
  const { name, types, json } = current!;
  const layouts = versions.map(layoutOf);
  const trade = options.trades?.[name];
  const doc = types.docOf(json) ?? types.docOfType(name);
  return {
    ...eventNameOf(current!),
    dataset: options.datasets?.[name] ?? `${options.prefix ?? ""}${datasetName({ name })}`,
    ...(options.mints?.[name] === undefined ? {} : { mintField: options.mints[name] }),
    ...(doc === undefined ? {} : { doc }),
    layouts: layouts.filter((layout, i) => layouts.findIndex((other) => Bun.deepEquals(layout, other)) === i),
    ...(trade === undefined ? {} : { trade }),
  };
}

/** Older IDLs write the fields with the event; newer ones define a type of the event's name. */
function layoutOf({ name, json, types, where }: Declaration): EventSpec["layouts"][number] {
  if (json["fields"] === undefined) return types.structNamed(name, where);
  return types.fieldsOf(json["fields"], `${where}.fields`);
}

function eventNameOf({ name, json, where }: Declaration): EventName {
  if (json["discriminator"] === undefined) return { name };
  return { name, discriminator: numbersOf(json["discriminator"], `${where}.discriminator`) };
}

function nameOf(root: Json): string {
  const metadata = objectOf(root["metadata"] ?? {}, "idl.metadata");
  return textOf(metadata["name"] ?? root["name"], "idl.metadata.name");
}

function addressOf(root: Json, name: string): string {
  const address = root["address"] ?? objectOf(root["metadata"] ?? {}, "idl.metadata")["address"];
  if (typeof address === "string" && address !== "") return address;
  throw new Fatal("IDL_ADDRESS", "the IDL does not say which program it describes", {
    where: `program ${name}`,
    hint: "Set the program's address beside the IDL.",
  });
}

function unknownEvent(event: string, known: readonly string[], program: string): Fatal {
  return new Fatal("IDL_EVENT", `there is no event ${event}`, {
    where: `program ${program}`,
    hint: `The IDL has: ${known.join(", ") || "no events"}.`,
  });
}
