/**
 * Goal: a preset of a mapping reads what the configured package's own version of the type says. Method: packages made here, with
 * the type as Pinax has described it at two times, and outputs written by their descriptors.
 */
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  DescriptorProto,
  FieldDescriptorProto,
  FieldDescriptorProto_Label,
  FieldDescriptorProto_Type,
  FileDescriptorProto,
} from "@bufbuild/protobuf";
import { Module_KindMap } from "@substreams/core/proto";
import bs58 from "bs58";
import { loadConfig } from "../pipeline/config.ts";
import { moduleOf, testPackage } from "../pipeline/source/testing.ts";
import { WRAPPED_SOL } from "../stages/decode/address-source.ts";
import { keyOf } from "../stages/decode/block-fixture.ts";
import { messageOf, resolvePath } from "../stages/decode/map/message-path.ts";
import { JUPITER_V6 } from "../stages/decode/programs/jupiter.ts";
import { DecodeStage } from "../stages/decode/stage.ts";
import { batchOf, rowsOf } from "../stages/decode/stage-fixture.ts";
import { mapsFor } from "./maps.ts";

const folder = mkdtempSync(join(tmpdir(), "sluice-maps-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const { BYTES, UINT64, UINT32, MESSAGE } = FieldDescriptorProto_Type;
const field = (name: string, number: number, type: FieldDescriptorProto_Type, more: object = {}) =>
  new FieldDescriptorProto({ name, number, type, label: FieldDescriptorProto_Label.OPTIONAL, ...more });
const list = (name: string, number: number, of: string) =>
  field(name, number, MESSAGE, { label: FieldDescriptorProto_Label.REPEATED, typeName: `.dex.swaps.v1.${of}` });

/** A package whose module puts out `dex.swaps.v1.Events`, with these fields of a swap. */
function packageWith(swap: readonly FieldDescriptorProto[]): string {
  const proto = testPackage();
  const value = new Module_KindMap({ outputType: "proto:dex.swaps.v1.Events" });
  moduleOf(proto, "map_other").kind = { case: "kindMap", value };
  const transaction = [
    ...[field("signature", 1, BYTES), field("fee_payer", 2, BYTES), field("fee", 4, UINT64)],
    ...[field("compute_units_consumed", 5, UINT64), list("swaps", 6, "Swap")],
  ];
  proto.protoFiles.push(
    new FileDescriptorProto({
      name: "dex-swaps.proto",
      package: "dex.swaps.v1",
      syntax: "proto3",
      messageType: [
        new DescriptorProto({ name: "Events", field: [list("transactions", 1, "Transaction")] }),
        new DescriptorProto({ name: "Transaction", field: transaction }),
        new DescriptorProto({ name: "Swap", field: [...swap] }),
      ],
    }),
  );
  const path = join(folder, `${swap.length}.spkg`);
  writeFileSync(path, proto.toBinary());
  return path;
}

const SWAP = ["amm", "amm_pool", "user", "input_mint", "input_amount", "output_mint", "output_amount"];
const numbered = (names: readonly string[]) =>
  names.map((name, i) =>
    field(name, i + 1, name.endsWith("amount") ? UINT64 : name === "stack_height" ? UINT32 : BYTES),
  );
const [POOL, TOKEN, USER] = [keyOf(4), keyOf(1), keyOf(3)];
const JUPITER = bs58.decode(JUPITER_V6.programId);

/** The trades of a transaction in which a pool and Jupiter report the same swap. */
async function trades(names: readonly string[], told: readonly object[]) {
  const location = packageWith(numbered(names));
  const flags = { "source.package": location, "source.module": "map_other", maps: [{ preset: "dex_swaps" }] };
  const [spec] = await mapsFor(loadConfig({ flags }).values, folder);
  const sol = bs58.decode(WRAPPED_SOL);
  const amounts = { inputMint: sol, inputAmount: 9n, outputMint: TOKEN, outputAmount: 5n, user: USER, ammPool: POOL };
  const signature = new Uint8Array(64).fill(7);
  const [transactions] = resolvePath(spec!.type, "transactions", "test").map((step) => messageOf(step.field)!);
  const [swapType] = resolvePath(transactions!, "swaps", "test").map((step) => messageOf(step.field)!);
  const swaps = told.map((one) => new swapType!({ ...amounts, ...one } as object));
  const transaction = new transactions!({ signature, feePayer: USER, swaps } as object);
  const output = new spec!.type({ transactions: [transaction] } as object).toBinary();
  const stage = new DecodeStage({ programs: [], maps: [spec!] });
  return rowsOf(stage.apply(batchOf([output], spec!.type.typeName)))["trades"];
}

test("as it was first: an aggregator is told by the program in `amm`", async () => {
  expect(await trades(SWAP, [{ amm: POOL }, { amm: JUPITER }])).toMatchObject([
    { program: POOL, mint: TOKEN, is_buy: true, base_amount: 5n, quote_amount: 9n },
  ]);
});

test("where nobody says who reports, a swap that is told twice in like words, or by a name, is one; others are not", async () => {
  const first = [{ program: POOL, mint: TOKEN, is_buy: true, base_amount: 5n, quote_amount: 9n }];
  expect(await trades(SWAP, [{ amm: POOL }, { amm: POOL, user: keyOf(6) }])).toMatchObject(first);
  expect(await trades(SWAP, [{ amm: POOL }, { amm: new TextEncoder().encode("jupiter-v6") }])).toMatchObject(first);
  expect(await trades(SWAP, [{ amm: POOL }, { amm: POOL, outputAmount: 4n }])).toHaveLength(2);
});

test("with fields of its own numbers, and the program that reports a swap apart from the one that did it", async () => {
  const told = [
    { programId: POOL, amm: POOL },
    { programId: JUPITER, amm: POOL },
  ];
  expect(await trades(["stack_height", "program_id", ...SWAP], told)).toMatchObject([
    { program: POOL, mint: TOKEN, is_buy: true, base_amount: 5n, quote_amount: 9n },
  ]);
});
