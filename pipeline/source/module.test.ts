/**
 * Goal: the module chosen from a package carries the params, network and hash that it will run with, and a choice that
 * cannot be is refused with what can. Method: a package made by hand; the hash is put together from its parts in the test.
 */
import { describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import type { Package } from "@substreams/core/proto";
import { selectModule } from "./module.ts";
import { codeOf, moduleOf, parsed, testPackage } from "./testing.ts";

describe("choosing a module", () => {
  test("type, initial block and network come from the package", () => {
    const selected = selectModule(parsed(), { module: "map_events" });
    expect(selected).toMatchObject({
      name: "map_events",
      typeName: "test.Events",
      initialBlock: 120,
      network: "solana",
      params: {},
    });
  });

  test("for v2 it is cut to what it needs, with everything applied", () => {
    const choice = { module: "map_events", params: ["map_filtered=program:B || a=b"], network: "devnet" };
    const read = parsed();
    const { modules, params, network, initialBlock } = selectModule(read, choice);
    expect({ params, network, initialBlock }).toEqual({
      params: { map_filtered: "program:B || a=b" },
      network: "devnet",
      initialBlock: 7,
    });
    expect(modules.modules.map(({ name, initialBlock }) => [name, initialBlock])).toEqual([
      ["index_programs", 100n],
      ["map_filtered", 7n],
      ["map_events", 7n],
    ]);
    expect(modules.modules[1]?.inputs[0]?.input.value).toMatchObject({ value: "program:B || a=b" });
    expect(
      modules.modules.map((module) => Buffer.from(modules.binaries[module.binaryIndex]!.content).toString()),
    ).toEqual(["filters", "filters", "events"]);
    expect(modules.binaries.length).toBe(2);
    expect(read.proto.toBinary()).toEqual(testPackage().toBinary());
  });

  test("the hash is that of the layout", () => {
    const sha1 = (...parts: (string | Buffer)[]) =>
      parts.reduce((hash, part) => hash.update(part), createHash("sha1")).digest();
    const le64 = (value: bigint) => {
      const out = Buffer.alloc(8);
      out.writeBigUInt64LE(value);
      return out;
    };
    const index = sha1(
      "initial_block",
      le64(100n),
      "kind",
      "block_index",
      "binary",
      "wasm/rust-v1",
      "filters",
      "inputs",
      "source",
      "sf.solana.type.v1.Block",
      "ancestors",
      "entrypoint",
      "index_programs",
    );
    const filtered = sha1(
      "initial_block",
      le64(120n),
      "kind",
      "map",
      "binary",
      "wasm/rust-v1",
      "filters",
      "inputs",
      "params",
      "program:A",
      "source",
      "sf.solana.type.v1.Block",
      "block_filter_module!",
      "index_programs",
      "block_filter_query!",
      "program:A",
      "ancestors",
      index,
      "entrypoint",
      "map_filtered",
    );
    const events = sha1(
      "initial_block",
      le64(120n),
      "kind",
      "map",
      "binary",
      "wasm/rust-v1",
      "events",
      "inputs",
      "map",
      "ancestors",
      index,
      filtered,
      "entrypoint",
      "map_events",
    );
    expect(selectModule(parsed(), { module: "map_events" }).hash).toBe(events.toString("hex"));
  });

  test("the hash changes with all that changes the output, and with nothing else", () => {
    const hash = (change?: (proto: Package) => void, choice = {}) =>
      selectModule(parsed(change), { module: "map_events", ...choice }).hash;
    const original = hash();
    const others = [
      hash((p) => {
        p.modules!.binaries[2]!.content = new Uint8Array(9);
      }),
      hash((p) => {
        p.modules!.binaries[0]!.content = new Uint8Array(9);
      }),
      hash((p) => {
        moduleOf(p, "map_filtered").blockFilter!.query = { case: "queryString", value: "x" };
      }),
      hash((p) => {
        moduleOf(p, "index_programs").initialBlock = 1n;
      }),
      hash(undefined, { params: ["map_filtered=program:Z"] }),
      hash(undefined, { network: "devnet" }),
    ];
    expect(new Set([original, ...others]).size).toBe(7);
    expect(hash(undefined, { params: ["map_filtered=program:A"] })).toBe(original);
    expect(
      hash((p) => {
        p.modules!.binaries[1]!.content = new Uint8Array(9);
      }),
    ).toBe(original);
    expect(
      hash((p) => {
        p.modules!.modules.shift();
        p.moduleMeta.shift();
      }),
    ).toBe(original);
  });

  test.each([
    [
      { module: "map_evnts" },
      "MODULE_UNKNOWN",
      'Did you mean "map_events"? There is: map_other, map_filtered, map_events.',
    ],
    [{ module: "" }, "MODULE_UNKNOWN", "There is: map_other, map_filtered, map_events."],
    [{ module: "store_supply" }, "MODULE_KIND", "Only maps can be streamed: map_other, map_filtered, map_events."],
    [{ module: "index_programs" }, "MODULE_KIND", "Only maps can be streamed: map_other, map_filtered, map_events."],
    [
      { module: "map_events", params: ["map_filterd=x"] },
      "MODULE_UNKNOWN",
      'Did you mean "map_filtered"? There is: map_other, index_programs, map_filtered, map_events, store_supply.',
    ],
    [
      { module: "map_events", params: ["__proto__=x"] },
      "MODULE_UNKNOWN",
      "There is: map_other, index_programs, map_filtered, map_events, store_supply.",
    ],
    [{ module: "map_events", params: ["map_events=x"] }, "MODULE_PARAMS", undefined],
    [{ module: "map_events", params: ["=x"] }, "MODULE_PARAMS", undefined],
    [{ module: "map_events", network: "mainnet" }, "MODULE_NETWORK", "It knows: solana, devnet."],
  ])("%j: %s", async (choice, code, hint) => {
    const error = await codeOf(() => selectModule(parsed(), choice));
    expect({ code: error.code, hint: error.hint }).toEqual({ code, hint });
  });

  test("inputs that begin at different blocks leave an inherited initial block open", async () => {
    const error = await codeOf(() =>
      selectModule(
        parsed((p) => {
          moduleOf(p, "map_filtered").initialBlock = 2n ** 64n - 1n;
          moduleOf(p, "map_filtered").inputs.push(moduleOf(p, "store_supply").inputs[0]!);
          moduleOf(p, "store_supply").inputs = [];
          moduleOf(p, "map_events").inputs = [];
          moduleOf(p, "map_events").initialBlock = 5n;
          p.networks = {};
        }),
        { module: "map_filtered" },
      ),
    );
    expect(error).toMatchObject({ code: "PACKAGE_CORRUPT" });
    expect(error.message).toContain("different blocks");
  });
});
