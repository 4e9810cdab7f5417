/**
 * Reading blocks: our reader, which steps over what nobody asked for, against the protobuf libraries of the ecosystem. All
 * extract the same from the same bytes: of each transaction that names the program, its signature, whether it failed, the
 * data of the program's instructions in execution order and the log lines. Blocks come from the market simulator.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { OUTPUTS, type OutputKind, type Rates, Simulation } from "../../simulator/index.ts";
import { readBlock } from "../../stages/decode/response-fixture.ts";
import { type BenchRow, type Contender, compare } from "../harness.ts";
import { writeFrames } from "./frames.ts";

const SEED = 1;

interface Case {
  readonly name: string;
  readonly output: OutputKind;
  readonly blocks: number;
  readonly rates: Partial<Rates>;
}

const CASES: readonly Case[] = [
  // What a filtering module delivers: every transaction is ours.
  { name: "decode/filtered", output: "transactions", blocks: 20, rates: {} },
  // Whole blocks: most transactions are foreign.
  { name: "decode/blocks", output: "block", blocks: 30, rates: { transactions: [40, 60], foreign: 700, votes: 100 } },
];

/** The peers decode whole messages, as generated code does, except the second one: see `peers.ts`. */
const PEERS = ["protobufjs", "protobufjs, lean schema", "protobuf-es v1"] as const;

export async function run(): Promise<BenchRow[]> {
  const folder = await mkdtemp(join(tmpdir(), "bench-decode-"));
  try {
    const rows: BenchRow[] = [];
    for (const { name, output, blocks, rates } of CASES) {
      const file = join(folder, `${output}.frames`);
      await writeFrames(file, payloads(output, blocks, rates));
      const { typeName } = OUTPUTS[output];
      rows.push(
        ...(await compare({
          name,
          unit: "MB/s",
          ours: contender("ours", file, typeName),
          peers: PEERS.map((peer) => contender(peer, file, typeName)),
        })),
      );
    }
    return rows;
  } finally {
    await rm(folder, { recursive: true });
  }
}

function* payloads(output: OutputKind, blocks: number, rates: Partial<Rates>): Generator<Uint8Array> {
  const simulation = new Simulation({ seed: SEED, blocks, output, profile: "dense", rates, truth: false });
  for (const { kind, response } of simulation.messages()) if (kind === "block") yield readBlock(response).payload;
}

function contender(name: string, file: string, typeName: string): Contender {
  const script = new URL("contender.ts", import.meta.url).pathname;
  return { name, command: [process.execPath, script, name, file, typeName] };
}
