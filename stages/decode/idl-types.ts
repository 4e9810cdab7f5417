/** The types of an IDL, resolved: names and generics are replaced by what they stand for. */
import { Fatal } from "../../pipeline/errors.ts";
import type { BorshField, BorshScalar, BorshType, BorshVariant } from "./borsh.ts";
import { invalid, type Json, listOf, objectOf, textOf } from "./idl-json.ts";

/** By the name in the IDL; older IDLs write "publicKey". */
const SCALARS: ReadonlyMap<unknown, BorshScalar> = new Map<unknown, BorshScalar>([
  ...(["bool", "u8", "u16", "u32", "u64", "u128", "u256", "i8", "i16", "i32", "i64"] as const).map(
    (n) => [n, n] as const,
  ),
  ...(["i128", "i256", "f32", "f64", "pubkey", "string", "bytes"] as const).map((n) => [n, n] as const),
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
    const list = type["vec"] ?? type["hashSet"] ?? type["bTreeSet"];
    const map = type["hashMap"] ?? type["bTreeMap"];
    if (type["option"] !== undefined) return { option: this.typeOf(type["option"], `${where}.option`, generics) };
    if (type["coption"] !== undefined) return { coption: this.typeOf(type["coption"], `${where}.coption`, generics) };
    if (list !== undefined) return { vec: this.typeOf(list, `${where}.${Object.keys(type)[0]}`, generics) };
    if (map !== undefined) return this.mapOf(listOf(map, where), where, generics);
    if (type["tuple"] !== undefined) {
      const parts = listOf(type["tuple"], `${where}.tuple`);
      return { tuple: parts.map((part, i) => this.typeOf(part, `${where}.tuple[${i}]`, generics)) };
    }
    const array = type["array"] ?? type["genericLenArray"];
    if (array !== undefined) return this.arrayOf(listOf(array, `${where}.array`), where, generics);
    const name = type["defined"] ?? type["definedWithTypeArgs"];
    if (name !== undefined) {
      return this.defined(typeof name === "string" ? { name } : objectOf(name, `${where}.defined`), generics, where);
    }
    const bound = boundTo(type, generics);
    if (bound !== undefined && typeof bound !== "number") return bound;
    throw invalid("a type", type, where);
  }

  /** On the wire a map is a list of its pairs. */
  private mapOf([key, value]: readonly unknown[], where: string, generics: Generics): BorshType {
    const part = (name: string, type: unknown) => ({ name, type: this.typeOf(type, `${where}.${name}`, generics) });
    return { vec: { struct: [part("key", key), part("value", value)] } };
  }

  private arrayOf([element, length]: readonly unknown[], where: string, generics: Generics): BorshType {
    const parameter = typeof length === "string" ? { generic: length } : length;
    const named =
      typeof parameter === "object" && parameter !== null ? boundTo(objectOf(parameter, where), generics) : length;
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
    const type = this.bodyOfDefinition(json, at, this.bind(json, reference, outer, where));
    requireBorsh(name, json, type, where);
    return type;
  }

  private bodyOfDefinition(json: Json, at: string, generics: Generics): BorshType {
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
    const values = listOf(reference["generics"] ?? reference["args"] ?? [], `${where}.defined.generics`);
    if (parameters.length !== values.length) throw invalid(`${parameters.length} generic arguments`, values, where);
    return new Map(
      parameters.map((parameter, i) => {
        const name = typeof parameter === "string" ? parameter : objectOf(parameter, where)["name"];
        const value = objectOf(values[i], `${where}.defined.generics[${i}]`);
        return [textOf(name, `${where}.generics[${i}].name`), this.argumentOf(value, where, outer)];
      }),
    );
  }

  /** A number, a type, or the parameter of the type around it, which may stand for either. */
  private argumentOf(value: Json, where: string, outer: Generics): BorshType | number {
    const { type } = value;
    if (value["value"] !== undefined) return constantOf(value["value"], outer);
    const named = typeof type === "object" && type !== null ? objectOf(type, where) : value;
    return boundTo(named, outer) ?? this.typeOf(type, where, outer);
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

/** IDLs write constants as the source does: "8", "8usize", "N". What is none is found where it is used. */
function constantOf(value: unknown, outer: Generics): number {
  if (typeof value === "number") return value;
  const [, digits] = /^(\d[\d_]*?)_?(?:[ui]\d+|[ui]size)?$/.exec(String(value)) ?? [];
  const bound = outer.get(String(value));
  if (typeof bound === "number") return bound;
  return digits === undefined ? Number.NaN : Number(digits.replaceAll("_", ""));
}

/**
 * What lies as it does in memory (`bytemuck`) has the bytes of Borsh where no padding is between fields: bytemuck takes no other
 * struct, and one that is made so by hand (`bytemuckunsafe`) has none where it is packed.
 */
function requireBorsh(name: string, json: Json, type: BorshType, where: string): void {
  const serialization = json["serialization"] ?? "borsh";
  if (serialization === "borsh") return;
  const repr = json["repr"] === undefined ? {} : objectOf(json["repr"], `${where}.repr`);
  const packed = serialization === "bytemuck" || (serialization === "bytemuckunsafe" && repr["packed"] === true);
  if (packed && isFlat(type)) return;
  const how = typeof serialization === "string" ? serialization : JSON.stringify(serialization).slice(0, 80);
  const lacking = packed ? "has parts whose size is not fixed" : "may have padding, or a form of its own";
  throw new Fatal("IDL_TYPE", `type ${name} is serialized as ${how}, not as Borsh, and ${lacking}`, {
    where,
    hint: "Leave its event out.",
  });
}

/** It lies in memory as it does on the wire. */
function isFlat(type: BorshType): boolean {
  if (typeof type === "string") return type !== "string" && type !== "bytes";
  if ("array" in type) return isFlat(type.array[0]);
  if ("tuple" in type) return type.tuple.every(isFlat);
  if ("struct" in type) return type.struct.every((field) => isFlat(field.type));
  return "enum" in type && type.enum.every(({ body }) => body === undefined);
}

function boundTo({ generic }: Json, generics: Generics): BorshType | number | undefined {
  return typeof generic === "string" ? generics.get(generic) : undefined;
}

function scalarOf(name: string, where: string): BorshType {
  const scalar = SCALARS.get(name);
  if (scalar === undefined) throw invalid("a Borsh type", name, where);
  return scalar;
}
