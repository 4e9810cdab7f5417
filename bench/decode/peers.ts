/**
 * The peers: they decode a block to objects, from which the same is extracted. "protobufjs" and "protobuf-es v1" know the
 * whole schema, like generated code. "protobufjs, lean schema" knows only the fields that are extracted, which is the
 * best a user of a library can do, and which few do.
 */
import { type Message, proto3 } from "@bufbuild/protobuf";
import protobuf from "protobufjs";
import type { Extractor, Visitor } from "./extract.ts";
import { type FieldSpec, SCHEMA, type Schema } from "./schema.ts";

/** The part of a decoded block that is looked at; both libraries give it this shape. */
interface DecodedBlock {
  readonly transactions: readonly {
    readonly transaction?: {
      readonly signatures: readonly Uint8Array[];
      readonly message?: { readonly accountKeys: readonly Uint8Array[]; readonly instructions: readonly Instruction[] };
    };
    readonly meta?: {
      readonly err?: object | null;
      readonly innerInstructions: readonly { readonly index: number; readonly instructions: readonly Instruction[] }[];
      readonly logMessages: readonly string[];
      readonly loadedWritableAddresses: readonly Uint8Array[];
      readonly loadedReadonlyAddresses: readonly Uint8Array[];
    };
  }[];
}

interface Instruction {
  readonly programIdIndex: number;
  readonly data: Uint8Array;
}

type Decode = (payload: Uint8Array) => DecodedBlock;

export class PeerExtractor implements Extractor {
  private readonly program: Uint8Array;
  private readonly decode: Decode;

  constructor(program: Uint8Array, decode: Decode) {
    this.program = program;
    this.decode = decode;
  }

  visit(payload: Uint8Array, found: Visitor): void {
    const encoder = new TextEncoder();
    this.extract(
      payload,
      (signature, failed) => found.transaction(signature, failed),
      (data) => found.instruction(data),
      (line) => found.log(encoder.encode(line)),
    );
  }

  checksum(payload: Uint8Array): number {
    let sum = 0;
    this.extract(
      payload,
      (signature, failed) => {
        sum += signature[0]! + (failed ? 1 : 0);
      },
      (data) => {
        if (data.length > 0) sum += data[0]!;
      },
      (line) => {
        if (line.length > 0) sum += line.charCodeAt(0);
      },
    );
    return sum;
  }

  private extract(
    payload: Uint8Array,
    onTransaction: (signature: Uint8Array, failed: boolean) => void,
    onInstruction: (data: Uint8Array) => void,
    onLog: (line: string) => void,
  ): void {
    for (const { transaction, meta } of this.decode(payload).transactions) {
      const message = transaction?.message;
      if (transaction === undefined || message === undefined || meta === undefined) continue;
      const loaded = [meta.loadedWritableAddresses, meta.loadedReadonlyAddresses];
      const keys = loaded.every((list) => list.length === 0)
        ? message.accountKeys
        : message.accountKeys.concat(...loaded);
      const ours = keys.map((key) => sameBytes(key, this.program));
      if (!ours.includes(true)) continue;
      onTransaction(transaction.signatures[0]!, meta.err !== undefined && meta.err !== null);
      message.instructions.forEach((instruction, top) => {
        if (ours[instruction.programIdIndex] === true) onInstruction(instruction.data);
        for (const group of meta.innerInstructions) {
          if (group.index !== top) continue;
          for (const inner of group.instructions) if (ours[inner.programIdIndex] === true) onInstruction(inner.data);
        }
      });
      for (const line of meta.logMessages) onLog(line);
    }
  }
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a[0] !== b[0] || a.length !== b.length) return false;
  for (let i = 1; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** protobufjs makes its decoders at run time, the same code that its command line tool writes to files. */
export function protobufjsDecoder(typeName: string, schema: Schema): Decode {
  const namespace = Object.entries(schema).map(([name, fields]) => {
    const entries = fields.map((f) => [
      f.name,
      { type: f.type, id: f.id, ...(f.repeated ? { rule: "repeated" } : {}) },
    ]);
    return [name, { fields: Object.fromEntries(entries) }] as const;
  });
  const root = protobuf.Root.fromJSON({ nested: Object.fromEntries(namespace) });
  const type = root.lookupType(messageName(typeName));
  return (payload) => type.decode(payload) as unknown as DecodedBlock;
}

/** protobuf-es v1, the runtime of the Substreams client for JavaScript. */
export function protobufEsDecoder(typeName: string): Decode {
  const types = new Map<string, ReturnType<typeof proto3.makeMessageType>>();
  const build = (name: string): ReturnType<typeof proto3.makeMessageType> => {
    const known = types.get(name);
    if (known !== undefined) return known;
    const type = proto3.makeMessageType(`bench.${name}`, () => SCHEMA[name]!.map((field) => esField(field, build)));
    types.set(name, type);
    return type;
  };
  const type = build(messageName(typeName));
  return (payload) => type.fromBinary(payload) as Message & DecodedBlock;
}

const ES_SCALAR: Readonly<Record<string, number>> = {
  double: 1,
  int64: 3,
  uint64: 4,
  int32: 5,
  bool: 8,
  string: 9,
  bytes: 12,
  uint32: 13,
};

function esField(field: FieldSpec, build: (name: string) => ReturnType<typeof proto3.makeMessageType>) {
  const scalar = ES_SCALAR[field.type];
  const common = { no: field.id, name: snake(field.name), repeated: field.repeated };
  return scalar === undefined
    ? { ...common, kind: "message" as const, T: build(field.type) }
    : { ...common, kind: "scalar" as const, T: scalar };
}

function snake(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

function messageName(typeName: string): string {
  return typeName.slice(typeName.lastIndexOf(".") + 1);
}
