/** The types of an IDL, resolved: names and generics are replaced by what they stand for. */
import { Fatal } from "../../pipeline/errors.ts";
import type { BorshField, BorshScalar, BorshType, BorshVariant } from "./borsh.ts";
import { invalid, type Json, listOf, objectOf, textOf } from "./idl-json.ts";

/** By the name in the IDL; older IDLs write "publicKey". */
const SCALARS: ReadonlyMap<unknown, BorshScalar> = new Map<unknown, BorshScalar>([
  ...(["bool", "u8", "u16", "u32", "u64", "u128", "i8", "i16", "i32", "i64", "i128"] as const).map(
    (n) => [n, n] as const,
  ),
  ...(["f32", "f64", "pubkey", "string", "bytes"] as const).map((n) => [n, n] as const),
  ["publicKey", "pubkey"],
]);

/** Deeper than any real type; a type that contains itself would otherwise never end. */
const MAX_DEPTH = 32;
const MAX_ARRAY = 65_536;
/** Of all that a type is made of: types that name others twice, which do the same, would otherwise fill the memory. */
const MAX_PARTS = 20_000;

/** What the parameters of a generic type stand for in its body. */
type Generics = ReadonlyMap<string, BorshType | number>;
const NO_GENERICS: Generics = new Map();

export class IdlTypes {
  private readonly definitions = new Map<string, { json: Json; where: string }>();
  private depth = 0;
  /** Of the type that is being resolved. */
  private parts = 0;

  constructor(root: Json, at: string) {
    listOf(root["types"] ?? [], `${at}.types`).forEach((raw, i) => {
      const where = `${at}.types[${i}]`;
      const json = objectOf(raw, where);
      this.definitions.set(textOf(json["name"], `${where}.name`), { json, where });
    });
  }

  docOf(json: Json): string | undefined {
    const docs = json["docs"];
    const lines = Array.isArray(docs) ? docs.filter((line) => typeof line === "string") : [];
    const text = lines.join(" ").trim();
    return text === "" ? undefined : text;
  }

  docOfType(name: string): string | undefined {
    const definition = this.definitions.get(name);
    return definition === undefined ? undefined : this.docOf(definition.json);
  }

  /** The fields of the struct `name`. */
  structNamed(name: string, where: string): readonly BorshField[] {
    const type = this.defined({ name }, NO_GENERICS, where);
    if (typeof type === "object" && "struct" in type) return type.struct;
    if (typeof type === "object" && "tuple" in type)
      return type.tuple.map((part, i) => ({ name: `field${i}`, type: part }));
    throw invalid("a struct", name, where);
  }

  fieldsOf(value: unknown, where: string, generics: Generics = NO_GENERICS): readonly BorshField[] {
    return listOf(value, where).map((raw, i) => {
      const field = objectOf(raw, `${where}[${i}]`);
      const doc = this.docOf(field);
      return {
        name: textOf(field["name"], `${where}[${i}].name`),
        type: this.typeOf(field["type"], `${where}[${i}].type`, generics),
        ...(doc === undefined ? {} : { doc }),
      };
    });
  }

  private typeOf(value: unknown, where: string, generics: Generics): BorshType {
    if (this.depth === 0) this.parts = 0;
    if (++this.parts > MAX_PARTS) {
      throw new Fatal("IDL_TYPE", `a type has more than ${MAX_PARTS} parts`, { where, hint: "Leave its event out." });
    }
    if (++this.depth > MAX_DEPTH) {
      throw new Fatal("IDL_TYPE", "a type contains itself, or is nested too deeply", {
        where,
        hint: "Leave its event out.",
      });
    }
    try {
      return typeof value === "string"
        ? scalarOf(value, where)
        : this.composite(objectOf(value, where), where, generics);
    } finally {
      this.depth--;
    }
  }

  private composite(type: Json, where: string, generics: Generics): BorshType {
    if (type["option"] !== undefined) return { option: this.typeOf(type["option"], `${where}.option`, generics) };
    if (type["coption"] !== undefined) return { coption: this.typeOf(type["coption"], `${where}.coption`, generics) };
    if (type["vec"] !== undefined) return { vec: this.typeOf(type["vec"], `${where}.vec`, generics) };
    if (type["array"] !== undefined) return this.arrayOf(listOf(type["array"], `${where}.array`), where, generics);
    if (type["defined"] !== undefined) {
      const name = type["defined"];
      return this.defined(typeof name === "string" ? { name } : objectOf(name, `${where}.defined`), generics, where);
    }
    const bound = boundTo(type, generics);
    if (bound !== undefined && typeof bound !== "number") return bound;
    throw invalid("a type", type, where);
  }

  private arrayOf([element, length]: readonly unknown[], where: string, generics: Generics): BorshType {
    const named = typeof length === "object" && length !== null ? boundTo(objectOf(length, where), generics) : length;
    if (typeof named !== "number" || !Number.isInteger(named) || named < 0 || named > MAX_ARRAY) {
      throw invalid(`a length of at most ${MAX_ARRAY}`, length, `${where}.array`);
    }
    return { array: [this.typeOf(element, `${where}.array`, generics), named] };
  }

  private defined(reference: Json, outer: Generics, where: string): BorshType {
    const name = textOf(reference["name"], `${where}.defined.name`);
    const definition = this.definitions.get(name);
    if (definition === undefined) throw invalid("the name of a type in the IDL", name, where);
    const { json, where: at } = definition;
    const serialization = json["serialization"] ?? "borsh";
    if (serialization !== "borsh") {
      throw new Fatal("IDL_TYPE", `type ${name} is not serialized as Borsh`, { where, hint: "Leave its event out." });
    }
    const generics = this.bind(json, reference, outer, where);
    const body = objectOf(json["type"], `${at}.type`);
    switch (body["kind"]) {
      case "struct":
        return this.bodyOf(body["fields"] ?? [], `${at}.type.fields`, generics) ?? { struct: [] };
      case "enum":
        return { enum: this.variantsOf(body["variants"], `${at}.type.variants`, generics) };
      case "type":
        return this.typeOf(body["alias"], `${at}.type.alias`, generics);
      default:
        throw invalid("a struct, an enum or an alias", body, `${at}.type`);
    }
  }

  /** Gives the parameters of a generic type the arguments of a reference to it. */
  private bind(definition: Json, reference: Json, outer: Generics, where: string): Generics {
    const parameters = listOf(definition["generics"] ?? [], `${where}.generics`);
    const values = listOf(reference["generics"] ?? [], `${where}.defined.generics`);
    if (parameters.length !== values.length) throw invalid(`${parameters.length} generic arguments`, values, where);
    return new Map(
      parameters.map((parameter, i) => {
        const value = objectOf(values[i], `${where}.defined.generics[${i}]`);
        const name = textOf(objectOf(parameter, where)["name"], `${where}.generics[${i}].name`);
        return [
          name,
          value["kind"] === "const" ? constantOf(value["value"]) : this.typeOf(value["type"], where, outer),
        ];
      }),
    );
  }

  private variantsOf(value: unknown, where: string, generics: Generics): readonly BorshVariant[] {
    return listOf(value, where).map((raw, i) => {
      const variant = objectOf(raw, `${where}[${i}]`);
      const body = this.bodyOf(variant["fields"] ?? [], `${where}[${i}].fields`, generics);
      return { name: textOf(variant["name"], `${where}[${i}].name`), ...(body === null ? {} : { body }) };
    });
  }

  /** Named fields are a struct, bare types a tuple, none at all is null. */
  private bodyOf(value: unknown, where: string, generics: Generics): BorshType | null {
    const fields = listOf(value, where);
    if (fields.length === 0) return null;
    const isNamed = fields.every((field) => typeof field === "object" && field !== null && "name" in field);
    if (isNamed) return { struct: this.fieldsOf(fields, where, generics) };
    return { tuple: fields.map((field, i) => this.typeOf(field, `${where}[${i}]`, generics)) };
  }
}

/** IDLs write constants as text. What is none is found where it is used. */
function constantOf(value: unknown): number {
  return typeof value === "string" || typeof value === "number" ? Number(value) : Number.NaN;
}

function boundTo({ generic }: Json, generics: Generics): BorshType | number | undefined {
  return typeof generic === "string" ? generics.get(generic) : undefined;
}

function scalarOf(name: string, where: string): BorshType {
  const scalar = SCALARS.get(name);
  if (scalar === undefined) throw invalid("a Borsh type", name, where);
  return scalar;
}
