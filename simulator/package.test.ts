/**
 * The demo package: the same bytes always, accepted by the Substreams client library, its WASM by the runtime, and its
 * descriptors good enough to decode simulated output (which the other tests of this folder do all the time).
 */
import { expect, test } from "bun:test";
import {
  createModuleHashHex,
  createRegistry,
  createRequest,
  createSubstream,
  getModuleOrThrow,
  validatePackageAndModules,
} from "@substreams/core";
import { buildDemoPackage, OUTPUTS, simulate } from "./index.ts";
import { readMessage } from "./naive-reader.ts";

const bytes = buildDemoPackage();

test("its bytes never change", () => {
  expect(Buffer.from(buildDemoPackage()).equals(Buffer.from(bytes))).toBe(true);
  expect(new Bun.CryptoHasher("sha256").update(bytes).digest("hex")).toBe(
    "986b7f878b014a5a99d691acfa04032eea1f92062e75d1dd55452d6a66e63de8",
  );
});

test("it is a valid package with two map modules", async () => {
  const pkg = createSubstream(bytes);
  validatePackageAndModules(pkg);
  expect(pkg.network).toBe("solana-mainnet-beta");
  expect(pkg.packageMeta[0]).toMatchObject({ name: "sluice_demo", version: "v0.1.0" });
  for (const { module, typeName } of Object.values(OUTPUTS)) {
    const found = getModuleOrThrow(pkg.modules!.modules, module);
    expect(found.output?.type).toBe(`proto:${typeName}`);
    expect(found.initialBlock).toBe(370_500_000n);
    expect(createRegistry(pkg).findMessage(typeName)).toBeDefined();
    expect(createRequest({ substreamPackage: pkg, outputModule: module, stopBlockNum: "+10" }).startBlockNum).toBe(
      370_500_000n,
    );
  }
  const hashes = await Promise.all(Object.values(OUTPUTS).map((o) => createModuleHashHex(pkg.modules!, o.module)));
  expect(new Set(hashes).size).toBe(2);
});

test("its WASM is a module that exports its entry points", async () => {
  const [binary] = createSubstream(bytes).modules!.binaries;
  expect(binary!.type).toBe("wasm/rust-v1");
  const module = await WebAssembly.compile(binary!.content as Uint8Array<ArrayBuffer>);
  const names = WebAssembly.Module.exports(module).map((e) => e.name);
  expect(names.sort()).toEqual(["map_blocks", "map_transactions", "memory"]);
});

test("its descriptors round-trip simulated output without unknown fields", () => {
  for (const output of ["transactions", "block"] as const) {
    const registry = createRegistry(createSubstream(bytes));
    for (const message of simulate({ seed: 9, blocks: 10, output, truth: false })) {
      const read = readMessage(message);
      if (!("block" in read) || read.block.output === null) continue;
      const { typeName, value } = read.block.output;
      const type = registry.findMessage(typeName)!;
      const decoded = type.fromBinary(value);
      expect(Buffer.from(decoded.toBinary({ writeUnknownFields: false })).equals(Buffer.from(decoded.toBinary()))).toBe(
        true,
      );
      expect(type.fromBinary(decoded.toBinary()).equals(decoded)).toBe(true);
      expect(decoded.toBinary().length).toBe(value.length);
    }
  }
});
