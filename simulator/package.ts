/**
 * The project's own Substreams package, built by code: a demo and tests need one, and a recording's module must come from
 * somewhere. Its descriptors are written here from the published field numbers of `sf.solana.type.v1` and
 * `sf.substreams.solana.v1`; its WASM is the smallest module that exports what the package promises.
 */
import {
  DescriptorProto,
  FieldDescriptorProto,
  FileDescriptorProto,
  FieldDescriptorProto_Label as Label,
  OneofDescriptorProto,
  FieldDescriptorProto_Type as Type,
} from "@bufbuild/protobuf";
import {
  Module,
  Module_Input,
  Module_Input_Params,
  Module_Input_Source,
  Module_KindMap,
  Module_Output,
  ModuleMetadata,
  Modules,
  Package,
  PackageMetadata,
} from "@substreams/core/proto";
import { OUTPUTS } from "./response.ts";
import { DEFAULT_PROGRAM, DEFAULT_START_SLOT } from "./simulation.ts";

type Scalar = "string" | "bytes" | "uint32" | "uint64" | "int64" | "double" | "bool";
/** number, name, type: a scalar or a message's name; "[]" repeats it, "?" gives it explicit presence. */
type FieldText = readonly [number: number, name: string, type: string];

const SCALARS: Readonly<Record<Scalar, Type>> = {
  string: Type.STRING,
  bytes: Type.BYTES,
  uint32: Type.UINT32,
  uint64: Type.UINT64,
  int64: Type.INT64,
  double: Type.DOUBLE,
  bool: Type.BOOL,
};

const SOLANA = "sf.solana.type.v1";
const MESSAGES: Readonly<Record<string, readonly FieldText[]>> = {
  Block: [
    [1, "previous_blockhash", "string"],
    [2, "blockhash", "string"],
    [3, "parent_slot", "uint64"],
    [4, "transactions", "ConfirmedTransaction[]"],
    [5, "rewards", "Reward[]"],
    [6, "block_time", "UnixTimestamp"],
    [7, "block_height", "BlockHeight"],
    [20, "slot", "uint64"],
  ],
  ConfirmedTransaction: [
    [1, "transaction", "Transaction"],
    [2, "meta", "TransactionStatusMeta"],
  ],
  Transaction: [
    [1, "signatures", "bytes[]"],
    [2, "message", "Message"],
  ],
  Message: [
    [1, "header", "MessageHeader"],
    [2, "account_keys", "bytes[]"],
    [3, "recent_blockhash", "bytes"],
    [4, "instructions", "CompiledInstruction[]"],
    [5, "versioned", "bool"],
    [6, "address_table_lookups", "MessageAddressTableLookup[]"],
  ],
  MessageHeader: [
    [1, "num_required_signatures", "uint32"],
    [2, "num_readonly_signed_accounts", "uint32"],
    [3, "num_readonly_unsigned_accounts", "uint32"],
  ],
  MessageAddressTableLookup: [
    [1, "account_key", "bytes"],
    [2, "writable_indexes", "bytes"],
    [3, "readonly_indexes", "bytes"],
  ],
  TransactionStatusMeta: [
    [1, "err", "TransactionError"],
    [2, "fee", "uint64"],
    [3, "pre_balances", "uint64[]"],
    [4, "post_balances", "uint64[]"],
    [5, "inner_instructions", "InnerInstructions[]"],
    [6, "log_messages", "string[]"],
    [7, "pre_token_balances", "TokenBalance[]"],
    [8, "post_token_balances", "TokenBalance[]"],
    [9, "rewards", "Reward[]"],
    [12, "loaded_writable_addresses", "bytes[]"],
    [13, "loaded_readonly_addresses", "bytes[]"],
    [14, "return_data", "ReturnData"],
    [16, "compute_units_consumed", "uint64?"],
    [17, "cost_units", "uint64?"],
  ],
  TransactionError: [[1, "err", "bytes"]],
  InnerInstructions: [
    [1, "index", "uint32"],
    [2, "instructions", "InnerInstruction[]"],
  ],
  InnerInstruction: [
    [1, "program_id_index", "uint32"],
    [2, "accounts", "bytes"],
    [3, "data", "bytes"],
    [4, "stack_height", "uint32?"],
  ],
  CompiledInstruction: [
    [1, "program_id_index", "uint32"],
    [2, "accounts", "bytes"],
    [3, "data", "bytes"],
  ],
  TokenBalance: [
    [1, "account_index", "uint32"],
    [2, "mint", "string"],
    [3, "ui_token_amount", "UiTokenAmount"],
    [4, "owner", "string"],
    [5, "program_id", "string"],
  ],
  UiTokenAmount: [
    [1, "ui_amount", "double"],
    [2, "decimals", "uint32"],
    [3, "amount", "string"],
    [4, "ui_amount_string", "string"],
  ],
  ReturnData: [
    [1, "program_id", "bytes"],
    [2, "data", "bytes"],
  ],
  Reward: [
    [1, "pubkey", "string"],
    [2, "lamports", "int64"],
    [3, "post_balance", "uint64"],
    [4, "reward_type", "enum RewardType"],
    [5, "commission", "string"],
  ],
  UnixTimestamp: [[1, "timestamp", "int64"]],
  BlockHeight: [[1, "block_height", "uint64"]],
};
const REWARD_TYPES = ["Unspecified", "Fee", "Rent", "Staking", "Voting", "DeactivatedStake"];

/**
 * (module (memory (export "memory") 1) (func (export "map_blocks")) (func (export "map_transactions") ...)): empty bodies
 * of type (i32, i32) -> (), the signature of a map with one input.
 */
function wasm(exports: readonly string[]): Uint8Array {
  const section = (id: number, body: readonly number[]) => [id, body.length, ...body];
  const name = (text: string) => [text.length, ...new TextEncoder().encode(text)];
  const functions = exports.flatMap((text, i) => [...name(text), 0x00, i]);
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
    ...section(1, [1, 0x60, 2, 0x7f, 0x7f, 0]),
    ...section(3, [exports.length, ...exports.map(() => 0)]),
    ...section(5, [1, 0x00, 1]),
    ...section(7, [exports.length + 1, ...name("memory"), 0x02, 0, ...functions]),
    ...section(10, [exports.length, ...exports.flatMap(() => [2, 0, 0x0b])]),
  ]);
}

function field([number, name, text]: FieldText): FieldDescriptorProto {
  const base = text.replace(/^enum |\[\]$|\?$/g, "");
  const scalar = SCALARS[base as Scalar];
  const options = new FieldDescriptorProto({
    name,
    number,
    label: text.endsWith("[]") ? Label.REPEATED : Label.OPTIONAL,
    type: scalar ?? (text.startsWith("enum ") ? Type.ENUM : Type.MESSAGE),
  });
  if (scalar === undefined) options.typeName = `.${base.includes(".") ? base : `${SOLANA}.${base}`}`;
  return options;
}

function message(name: string, fields: readonly FieldText[]): DescriptorProto {
  const descriptor = new DescriptorProto({ name });
  for (const text of fields) {
    const built = field(text);
    if (text[2].endsWith("?")) {
      // Explicit presence in proto3 is a oneof of its own.
      built.proto3Optional = true;
      built.oneofIndex = descriptor.oneofDecl.length;
      descriptor.oneofDecl.push(new OneofDescriptorProto({ name: `_${text[1]}` }));
    }
    descriptor.field.push(built);
  }
  return descriptor;
}

function protoFiles(): FileDescriptorProto[] {
  const solana = "sf/solana/type/v1/type.proto";
  return [
    new FileDescriptorProto({
      name: solana,
      package: SOLANA,
      syntax: "proto3",
      messageType: Object.entries(MESSAGES).map(([name, fields]) => message(name, fields)),
      enumType: [{ name: "RewardType", value: REWARD_TYPES.map((name, number) => ({ name, number })) }],
    }),
    new FileDescriptorProto({
      name: "sf/substreams/solana/v1/transactions.proto",
      package: "sf.substreams.solana.v1",
      syntax: "proto3",
      dependency: [solana],
      messageType: [message("Transactions", [[1, "transactions", `${SOLANA}.ConfirmedTransaction[]`]])],
    }),
  ];
}

function module(name: string, typeName: string, inputs: Module_Input[]): Module {
  return new Module({
    name,
    kind: { case: "kindMap", value: new Module_KindMap({ outputType: `proto:${typeName}` }) },
    binaryIndex: 0,
    binaryEntrypoint: name,
    inputs,
    output: new Module_Output({ type: `proto:${typeName}` }),
    initialBlock: BigInt(DEFAULT_START_SLOT),
  });
}

/** An encoded `sf.substreams.v1.Package`: `sluice_demo` with modules `map_transactions` and `map_blocks`. Same bytes always. */
export function buildDemoPackage(): Uint8Array {
  const source = new Module_Input({
    input: { case: "source", value: new Module_Input_Source({ type: `${SOLANA}.Block` }) },
  });
  const params = new Module_Input({
    input: { case: "params", value: new Module_Input_Params({ value: `program:${DEFAULT_PROGRAM}` }) },
  });
  const { transactions, block } = OUTPUTS;
  return new Package({
    protoFiles: protoFiles(),
    version: 1n,
    modules: new Modules({
      modules: [
        module(transactions.module, transactions.typeName, [params, source]),
        module(block.module, block.typeName, [source]),
      ],
      binaries: [{ type: "wasm/rust-v1", content: wasm([transactions.module, block.module]) }],
    }),
    moduleMeta: [
      new ModuleMetadata({ packageIndex: 0n, doc: "Transactions that name the program, without votes." }),
      new ModuleMetadata({ packageIndex: 0n, doc: "Whole blocks." }),
    ],
    packageMeta: [
      new PackageMetadata({
        name: "sluice_demo",
        version: "v0.1.0",
        doc: "Sluice's own package for simulated blocks.",
      }),
    ],
    network: "solana-mainnet-beta",
  }).toBinary();
}
