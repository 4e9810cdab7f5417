/**
 * Goal: settings say what is decoded, and what is wrong in them is refused with its path. Method: `decodersFor` on settings files'
 * content, IDLs in files, behind URLs and as the bytes of their account.
 */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { deflateSync, gzipSync, zstdCompressSync } from "node:zlib";
import { loadConfig } from "../pipeline/config.ts";
import { SluiceError } from "../pipeline/errors.ts";
import { buildDemoPackage } from "../simulator/index.ts";
import { SPINPET } from "../stages/decode/programs/spinpet.ts";
import { decodersFor } from "./programs.ts";

const folder = mkdtempSync(join(tmpdir(), "sluice-programs-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const IDL = {
  address: SPINPET.programId,
  metadata: { name: "shop", version: "0.1.0", spec: "0.1.0" },
  instructions: [
    { name: "buy", discriminator: [1, 2, 3, 4, 5, 6, 7, 8], accounts: [{ name: "token_mint" }], args: [] },
  ],
  events: [{ name: "SoldEvent" }, { name: "NoteEvent" }],
  types: [
    {
      name: "SoldEvent",
      type: {
        kind: "struct",
        fields: [
          { name: "token", type: "pubkey" },
          { name: "who", type: "pubkey" },
          { name: "amount", type: "u64" },
        ],
      },
    },
    { name: "NoteEvent", type: { kind: "struct", fields: [{ name: "text", type: "string" }] } },
  ],
};
const idlFile = join(folder, "shop.json");
writeFileSync(idlFile, JSON.stringify(IDL));

const decoders = (settings: object, name = "data") =>
  decodersFor(loadConfig({ flags: { "data.dir": join(folder, name), ...settings } }).values);

async function refusal(settings: object): Promise<SluiceError> {
  try {
    await decoders(settings);
  } catch (error) {
    if (error instanceof SluiceError) return error;
    throw error;
  }
  throw new Error("accepted");
}

describe("presets", () => {
  test("learn later layouts from an IDL, behind those they know; datasets keep their columns", async () => {
    const struct = (fields: readonly (readonly [string, string])[]) => ({
      ...{ kind: "struct", fields: fields.map(([name, type]) => ({ name, type })) },
    });
    const old = SPINPET.events.find(({ name }) => name === "BuySellEvent")!.layouts[0]!;
    const same = old.map(({ name, type }) => [name, String(type)] as const);
    const later = (name: string, fields: readonly (readonly [string, string])[]) => {
      const file = join(folder, `${name}.json`);
      const types = [{ name: "BuySellEvent", type: struct(fields) }];
      writeFileSync(file, JSON.stringify({ ...IDL, instructions: [], events: [{ name: "BuySellEvent" }], types }));
      return file;
    };
    const grown = later("grown", [["fee", "u64"], ...same]);
    const { programs, catalog, effects } = await decoders({
      programs: [{ preset: "spinpet", later: [later("same", same), grown] }],
    });
    const layouts = programs[0]!.events.find(({ name }) => name === "BuySellEvent")!.layouts;
    expect(layouts.map((layout) => layout.map(({ name }) => name))).toEqual([
      old.map(({ name }) => name),
      ["fee", ...old.map(({ name }) => name)],
    ]);
    const before = (await decoders({})).catalog.get("buy_sell")!.columns;
    expect(catalog.get("buy_sell")!.columns.slice(0, before.length)).toEqual([...before]);
    expect(catalog.get("buy_sell")!.columns.at(-1)).toMatchObject({ name: "fee", nullable: true });
    expect(effects.has("long_short")).toBe(true);
    expect(await refusal({ programs: [{ idl: idlFile, later: [grown] }] })).toMatchObject({
      ...{ code: "CONFIG_VALUE", where: "programs[0].later" },
    });
  });

  test("spinpet when nothing is named; otherwise what is named, in both lists", async () => {
    expect((await decoders({})).programs.map(({ name }) => name)).toEqual(["spinpet"]);
    const both = await decoders({
      "decode.programs": "moonshot",
      programs: [{ preset: "pumpfun" }, { preset: "spl-token" }],
    });
    expect(both.programs.map(({ name }) => name)).toEqual(["moonshot", "pumpfun", "spl_token", "spl_token_2022"]);
    expect((await decoders({ maps: [{ preset: "dex_swaps" }] })).programs).toEqual([]);
  });

  test("another deployment of one shares its datasets", async () => {
    const id = "11111111111111111111111111111112";
    const { programs, catalog } = await decoders({
      programs: [{ preset: "pumpfun" }, { preset: "pumpfun", name: "fork", id }],
    });
    expect(programs[1]).toMatchObject({ name: "fork", programId: id });
    expect([...catalog.keys()].filter((name) => name.startsWith("pump_"))).toEqual([
      "pump_trade",
      "pump_post_complete_buy",
      "pump_create",
      "pump_complete",
      "pump_migration",
    ]);
  });

  test("instructions have datasets only where asked for, or where they are what the preset is about", async () => {
    expect(
      (await decoders({ programs: [{ preset: "pumpfun", instructions: ["buy"] }] })).catalog.has("pump_ix_buy"),
    ).toBe(true);
    const { catalog } = await decoders({ programs: [{ preset: "pumpfun" }, { preset: "spl_token" }] });
    expect([catalog.has("pump_ix_buy"), catalog.has("token_transfer")]).toEqual([false, true]);
  });

  test("all of them together have datasets of their own", async () => {
    const all = ["spinpet", "pumpfun", "pumpfun_amm", "raydium_launchpad", "moonshot", "jupiter_v6", "spl_token"];
    const programs = all.map((preset) => ({ preset, instructions: "all" as const }));
    const { catalog, effects } = await decoders({ programs, maps: [{ preset: "dex_swaps" }] });
    expect(catalog.size).toBeGreaterThan(30);
    expect(effects.has("token_created")).toBe(true);
  });
});

describe("IDLs", () => {
  const setting = {
    idl: idlFile,
    mint: "token",
    prefix: "my_",
    events: {
      SoldEvent: {
        dataset: "sales",
        trade: {
          user: "who",
          base: "amount",
          price: { quote: "amount", base: "amount", quoteDecimals: 9, baseDecimals: 9 },
        },
      },
    },
    instructions: { buy: { mint: "tokenMint" } },
  };

  test("from a file, with all that a setting can say", async () => {
    const { programs, catalog } = await decoders({ programs: [setting] });
    expect(programs[0]).toMatchObject({ name: "shop", programId: SPINPET.programId, mintField: "token" });
    expect([...catalog.keys()]).toEqual(["trades", "quarantine", "sales", "my_note", "my_ix_buy"]);
    expect(programs[0]!.events[0]!.trade).toMatchObject({ user: "who", baseAmount: "amount" });
    expect(programs[0]!.instructions![0]).toMatchObject({ mint: "token_mint" });
  });

  test("from the bytes of its account, as they are and as the RPC prints them", async () => {
    const packed = deflateSync(JSON.stringify(IDL));
    const length = new Uint8Array(Uint32Array.of(packed.length).buffer);
    const account = Buffer.concat([new Uint8Array(40).fill(9), length, packed, new Uint8Array(100)]);
    const forms: Record<string, string | Uint8Array> = {
      "raw.bin": account,
      "cli.json": JSON.stringify({ pubkey: "x", account: { data: [account.toString("base64"), "base64"] } }),
      "rpc.json": JSON.stringify({ result: { value: { data: [account.toString("base64"), "base64"] } } }),
    };
    for (const [name, content] of Object.entries(forms)) {
      const path = join(folder, name);
      writeFileSync(path, content);
      expect((await decoders({ programs: [{ idl: path }] })).programs[0]!.name).toBe("shop");
    }
    writeFileSync(join(folder, "cut.bin"), account.subarray(0, 60));
    expect(await refusal({ programs: [{ idl: join(folder, "cut.bin") }] })).toMatchObject({ code: "IDL_INVALID" });
  });

  test("from an account of the Program Metadata program, packed or not; what only points elsewhere is refused", async () => {
    const text = Buffer.from(JSON.stringify(IDL));
    const account = (data: Uint8Array, more: Record<number, number> = {}) => {
      const header = Buffer.alloc(96);
      header[0] = 2;
      // A program whose first byte looks like the beginning of JSON.
      header[1] = 0x7b;
      header[85] = 1;
      for (const [at, value] of Object.entries(more)) header[Number(at)] = value;
      header.writeUInt32LE(data.length, 87);
      return Buffer.concat([header, data, new Uint8Array(7)]);
    };
    const path = join(folder, "metadata.bin");
    for (const data of [text, gzipSync(text), deflateSync(text), zstdCompressSync(text)]) {
      writeFileSync(path, account(data));
      expect((await decoders({ programs: [{ idl: path }] })).programs[0]!.name).toBe("shop");
    }
    // A URL, YAML, fewer bytes than announced, nonsense, and content that would unpack to another account.
    const refused = [
      account(Buffer.from("https://example.com/idl.json"), { 86: 1 }),
      account(text, { 85: 2 }),
      account(text).subarray(0, 200),
      account(Uint8Array.of(0x1f, 0x8b, 1, 2, 3)),
      account(gzipSync(account(gzipSync(text)))),
    ];
    for (const bytes of refused) {
      writeFileSync(path, bytes);
      expect(await refusal({ programs: [{ idl: path }] })).toMatchObject({ code: "IDL_INVALID", where: path });
    }
  });

  test("from a URL, which is asked once; what it gave is kept", async () => {
    let asked = 0;
    const server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch: () => Response.json({ ...IDL, asked: ++asked }),
    });
    const idl = `http://127.0.0.1:${server.port}/shop.json?key=s3cret`;
    expect((await decoders({ programs: [{ idl }] }, "kept")).programs[0]!.name).toBe("shop");
    await server.stop(true);
    expect((await decoders({ programs: [{ idl }] }, "kept")).programs[0]!.name).toBe("shop");
    expect(asked).toBe(1);
    const error = await refusal({ programs: [{ idl }] });
    expect(error).toMatchObject({ code: "IDL_DOWNLOAD", kind: "transient" });
    expect(`${error.message} ${error.where}`).not.toContain("s3cret");
  });

  test("an earlier IDL adds its layouts to the same dataset", async () => {
    const old = structuredClone(IDL);
    old.types[0]!.type.fields.pop();
    const earlier = join(folder, "old.json");
    writeFileSync(earlier, JSON.stringify(old));
    const { programs } = await decoders({ programs: [{ idl: idlFile, earlier: [earlier] }] });
    expect(programs[0]!.events.map(({ layouts }) => layouts.length)).toEqual([2, 1]);
  });
});

describe("refused, with the path", () => {
  test.each<[string, object, string, string]>([
    ["neither preset nor IDL", { programs: [{ name: "x" }] }, "CONFIG_VALUE", "programs[0]"],
    ["an unknown preset", { programs: [{ preset: "pumpfn" }] }, "CONFIG_VALUE", "programs[0]"],
    ["what a preset says itself", { programs: [{ preset: "pumpfun", mint: "x" }] }, "CONFIG_VALUE", "programs[0].mint"],
    [
      "an instruction that a preset lacks",
      { programs: [{ preset: "pumpfun", instructions: ["by"] }] },
      "CONFIG_VALUE",
      "programs[0].instructions",
    ],
    [
      "an IDL that is not there",
      { programs: [{ idl: join(folder, "none.json") }] },
      "IDL_FILE",
      join(folder, "none.json"),
    ],
    [
      "an event that the IDL lacks",
      { programs: [{ idl: idlFile, only: ["Sold"] }] },
      "IDL_EVENT",
      "programs[0]: program shop",
    ],
    [
      "an instruction that the IDL lacks",
      { programs: [{ idl: idlFile, instructions: ["sell"] }] },
      "IDL_INSTRUCTION",
      "programs[0]: idl.instructions",
    ],
    [
      "two programs of one name",
      { programs: [{ idl: idlFile }, { idl: idlFile, prefix: "b_" }] },
      "PROGRAM_TWICE",
      "programs",
    ],
    [
      "a dataset that is state",
      { programs: [{ idl: idlFile, events: { SoldEvent: { dataset: "mints" } } }] },
      "DATASET_NAME",
      "shop.SoldEvent",
    ],
    ["a map without a package", { maps: [{ dataset: "a", rows: "" }] }, "CONFIG_VALUE", "maps[0].package"],
    ["an unknown map preset", { maps: [{ preset: "dex_swap" }] }, "CONFIG_VALUE", "maps[0].preset"],
  ])("%s", async (_, settings, code, where) => {
    expect(await refusal(settings)).toMatchObject({ code, where });
  });
});

test("a mapping on the descriptors of a package, here the built-in one", async () => {
  const path = join(folder, "demo.spkg");
  writeFileSync(path, buildDemoPackage());
  const { maps, catalog } = await decoders({
    "source.package": path,
    "source.module": "map_transactions",
    maps: [{ dataset: "raw_logs", rows: "transactions.meta", signature: "transactions.transaction.signatures" }],
  }).catch((error: SluiceError) => ({ maps: error.code, catalog: new Map() }));
  // The signature is a list in that type: refused, not guessed.
  expect([maps, catalog.size]).toEqual(["MAP_PATH", 0]);
});
