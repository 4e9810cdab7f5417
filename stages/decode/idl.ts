/**
 * Anchor IDLs (spec 0.1.0, and the older form without a spec) to program specs: bring an IDL, get datasets. Only events
 * are read, and the types they use.
 * Format: https://docs.rs/anchor-lang-idl-spec
 */
import { Fatal } from "../../pipeline/errors.ts";
import { type Json, listOf, objectOf, textOf } from "./idl-json.ts";
import { IdlTypes } from "./idl-types.ts";
import { snakeCase } from "./names.ts";
import { datasetName, type EventName, type EventSpec, type ProgramSpec, type TradeMapping } from "./program.ts";

export interface IdlOptions {
  /** Default: the IDL's own name. */
  readonly name?: string;
  /** Default: the IDL's own address. Older IDLs may have none. */
  readonly programId?: string;
  /** Events to decode, by name. Default: all. The others are counted as unwanted. */
  readonly events?: readonly string[];
  /** Put before the names of datasets, where two programs have events of one name: "pump_". */
  readonly prefix?: string;
  /** Field that names the token. */
  readonly mintField?: string;
  /** Trade mappings by event name. */
  readonly trades?: Readonly<Record<string, TradeMapping>>;
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
  const versions = [idl, ...(options.earlier ?? [])].flatMap((version, i) =>
    declarationsOf(objectOf(version, "idl"), i === 0 ? "idl" : `earlier[${i - 1}]`),
  );
  const byName = Map.groupBy(versions, (declaration) => declaration.name);
  const wanted = new Set(options.events ?? byName.keys());
  for (const event of [...wanted, ...Object.keys(options.trades ?? {})]) {
    if (!byName.has(event)) throw unknownEvent(event, [...byName.keys()], name);
  }
  return {
    name,
    programId: options.programId ?? addressOf(root, name),
    ...(options.mintField === undefined ? {} : { mintField: options.mintField }),
    events: [...wanted].map((event) => eventSpecOf(byName.get(event)!, options)),
    // What nobody wants is not read further: it may use types that cannot be decoded.
    unwanted: [...byName].filter(([event]) => !wanted.has(event)).map(([, declared]) => eventNameOf(declared[0]!)),
  };
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
    dataset: `${options.prefix ?? ""}${datasetName({ name })}`,
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
  return { name, discriminator: listOf(json["discriminator"], `${where}.discriminator`).map(Number) };
}

function nameOf(root: Json): string {
  const metadata = objectOf(root["metadata"] ?? {}, "idl.metadata");
  return textOf(metadata["name"] ?? root["name"], "idl.metadata.name");
}

function addressOf(root: Json, name: string): string {
  const address = root["address"] ?? objectOf(root["metadata"] ?? {}, "idl.metadata")["address"];
  if (typeof address === "string") return address;
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
