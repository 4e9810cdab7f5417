/** What the tests of this folder share: a package made by hand, blocks, recordings, and a world without waiting. */

import { Any, Timestamp } from "@bufbuild/protobuf";
import {
  BlockScopedData,
  BlockUndoSignal,
  Clock,
  MapModuleOutput,
  Module,
  ModuleMetadata,
  Modules,
  NetworkParams,
  Package,
  PackageMetadata,
  Response,
} from "@substreams/core/proto";
import { SluiceError } from "../errors.ts";
import type { LogLevel } from "../log.ts";
import { systemWorld } from "../world.ts";
import { type SubstreamsOptions, SubstreamsSource } from "./client.ts";
import { selectModule } from "./module.ts";
import { parsePackage } from "./package.ts";
import { RecordingWriter } from "./recording.ts";
import { type Replay, type ReplayOptions, serveReplay } from "./replay.ts";
import type { BlockSignal } from "./source.ts";

const source = { input: { case: "source" as const, value: { type: "sf.solana.type.v1.Block" } } };
const mapOf = (outputType: string) => ({ case: "kindMap" as const, value: { outputType } });

/**
 * `map_events` <- `map_filtered` <- `index_programs`; `map_filtered` takes its filter from its params. `store_supply` and
 * `map_other` are of no concern to it. Network "devnet" has other params and initial blocks.
 */
export function testPackage(): Package {
  const modules = [
    new Module({ name: "map_other", kind: mapOf("proto:test.Other"), inputs: [source], binaryIndex: 1 }),
    new Module({
      name: "index_programs",
      kind: { case: "kindBlockIndex", value: { outputType: "proto:sf.substreams.index.v1.Keys" } },
      inputs: [source],
      binaryEntrypoint: "index_programs",
      initialBlock: 100n,
    }),
    new Module({
      name: "map_filtered",
      kind: mapOf("proto:test.Transactions"),
      inputs: [{ input: { case: "params", value: { value: "program:A" } } }, source],
      blockFilter: { module: "index_programs", query: { case: "queryFromParams", value: {} } },
      binaryEntrypoint: "map_filtered",
      initialBlock: 120n,
    }),
    new Module({
      name: "map_events",
      kind: mapOf("proto:test.Events"),
      inputs: [{ input: { case: "map", value: { moduleName: "map_filtered" } } }],
      binaryEntrypoint: "map_events",
      binaryIndex: 2,
      initialBlock: 2n ** 64n - 1n,
    }),
    new Module({
      name: "store_supply",
      kind: { case: "kindStore", value: { updatePolicy: 1, valueType: "int64" } },
      inputs: [{ input: { case: "map", value: { moduleName: "map_events" } } }],
    }),
  ];
  const code = (text: string) => ({ type: "wasm/rust-v1", content: new TextEncoder().encode(text) });
  return new Package({
    version: 1n,
    modules: new Modules({ modules, binaries: [code("filters"), code("others"), code("events")] }),
    moduleMeta: modules.map(() => new ModuleMetadata()),
    packageMeta: [new PackageMetadata({ name: "test", version: "v1.2.3" })],
    network: "solana",
    networks: {
      solana: new NetworkParams({ params: { map_filtered: "program:A" }, initialBlocks: { map_filtered: 120n } }),
      devnet: new NetworkParams({ params: { map_filtered: "program:D" }, initialBlocks: { map_filtered: 7n } }),
    },
  });
}

/** The test package, changed, as it is read. */
export const parsed = (change: (proto: Package) => void = () => undefined) => {
  const proto = testPackage();
  change(proto);
  return parsePackage(proto.toBinary(), "test.spkg");
};

/** The error that `action` throws. */
export async function codeOf(action: () => unknown): Promise<SluiceError> {
  try {
    await action();
  } catch (error) {
    if (error instanceof SluiceError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

export function moduleOf(proto: Package, name: string): Module {
  return proto.modules!.modules.find((module) => module.name === name)!;
}

export interface TestBlock {
  readonly slot: number;
  /** Distinguishes blocks of one slot on different forks. */
  readonly fork?: string;
  readonly finalSlot?: number;
  readonly payload?: Uint8Array;
}

export const cursorOf = (slot: number, fork = "") => `cursor-${slot}${fork}`;
export const hashOf = (slot: number, fork = "") => `hash${slot}${fork}`;

/** A data message of module `map_events`. */
export function dataMessage({ slot, fork = "", finalSlot = Math.max(0, slot - 2), payload }: TestBlock): Response {
  const value = new BlockScopedData({
    output: new MapModuleOutput({
      name: "map_events",
      mapOutput: new Any({
        typeUrl: "type.googleapis.com/test.Events",
        value: payload ?? new TextEncoder().encode(`payload ${slot}${fork}`),
      }),
    }),
    clock: new Clock({
      id: hashOf(slot, fork),
      number: BigInt(slot),
      timestamp: new Timestamp({ seconds: BigInt(1_700_000_000 + slot) }),
    }),
    cursor: cursorOf(slot, fork),
    finalBlockHeight: BigInt(finalSlot),
  });
  return new Response({ message: { case: "blockScopedData", value } });
}

export function undoMessage(slot: number, fork = ""): Response {
  const value = new BlockUndoSignal({
    lastValidBlock: { id: hashOf(slot, fork), number: BigInt(slot) },
    lastValidCursor: cursorOf(slot, fork),
  });
  return new Response({ message: { case: "blockUndoSignal", value } });
}

/** What a source yielded, in one line each: "block 5 hash5 final 3", "undo to 4 hash4", "end". */
export function told(signal: BlockSignal): string {
  if (signal.kind === "block") return `block ${signal.block.slot} ${signal.block.hash} final ${signal.block.finalSlot}`;
  return signal.kind === "undo" ? `undo to ${signal.to.slot} ${signal.to.hash}` : "end";
}

export const testModule = selectModule(parsePackage(testPackage().toBinary(), "test.spkg"), { module: "map_events" });

export interface LogLine {
  readonly level: LogLevel;
  readonly message: string;
  readonly fields: Record<string, unknown>;
}

/** A source on this machine, and what it logged. */
export function openTestSource(
  port: number,
  options: Partial<SubstreamsOptions> = {},
): { source: SubstreamsSource; lines: LogLine[] } {
  const lines: LogLine[] = [];
  const source = new SubstreamsSource({
    name: "test",
    endpoint: `http://127.0.0.1:${port}`,
    credentials: { token: "", apiKey: "" },
    module: testModule,
    startBlock: "0",
    stopBlock: "",
    finalBlocksOnly: false,
    productionMode: true,
    limitProcessedBlocks: 0,
    parallelJobs: 0,
    protocol: "auto",
    compression: "none",
    maxMessageBytes: 128 * 1024 * 1024,
    idleTimeoutMs: 30_000,
    maxAttempts: 0,
    keepaliveMs: 30_000,
    world: systemWorld,
    log: (level, message, fields = {}) => lines.push({ level, message, fields }),
    ...options,
  });
  return { source, lines };
}

export async function record(path: string, messages: Iterable<Response>): Promise<void> {
  const writer = RecordingWriter.toFile(path);
  for (const message of messages) await writer.append(message);
  await writer.finish();
}

export function replay(recording: string, options: Partial<ReplayOptions> = {}): Promise<Replay> {
  return serveReplay({
    recording,
    host: "127.0.0.1",
    port: 0,
    protocols: ["v4", "v3", "v2"],
    blocksPerSecond: 0,
    progressMs: 20,
    endAtEof: false,
    gzip: false,
    requireToken: null,
    chain: "solana-mainnet-beta",
    world: systemWorld,
    ...options,
  });
}
