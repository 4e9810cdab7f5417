/**
 * The live feed: fan-out of 400 trades a block to 200 clients, against bare `Bun.serve` publish and `ws` on Node, as frames for
 * each second of the server's CPU; and how long it takes from a block's arrival to the message at a client (`latency.ts`).
 */
import { join } from "node:path";
import { type BenchRow, compare } from "../harness.ts";
import { latency } from "./latency.ts";

const script = (name: string) => [process.execPath, join(import.meta.dir, name)];

export async function run(): Promise<BenchRow[]> {
  const fanOut = await compare({
    name: "live fan-out",
    unit: "frames/CPU s",
    ours: { name: "sluice", command: script("ours.ts") },
    peers: [
      { name: "Bun.serve publish", command: script("bare.ts") },
      { name: "ws 8.23 on Node", command: script("ws.ts") },
    ],
    rounds: 3,
  });
  return [...fanOut, await latency()];
}
