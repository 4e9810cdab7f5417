/**
 * Anchor events from base64 text: our decoder, which fills columns, against the two libraries that people decode with, which
 * make objects. All must give the same values of every field of every payload, or nothing is compared.
 */
import { type BenchRow, type Contender, compare } from "../harness.ts";
import { CASES } from "./events.ts";

export async function run(): Promise<BenchRow[]> {
  const rows: BenchRow[] = [];
  for (const which of Object.keys(CASES)) {
    const contender = (name: string): Contender => ({
      name,
      command: [process.execPath, new URL("contender.ts", import.meta.url).pathname, name, which],
    });
    rows.push(
      ...(await compare({
        name: `anchor/${which}`,
        unit: "M events/s",
        ours: contender("ours"),
        peers: [contender("@coral-xyz/anchor"), contender("@subsquid/borsh")],
      })),
    );
  }
  return rows;
}
