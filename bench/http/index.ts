/**
 * HTTP reads against bare `Bun.serve`: the same bytes of the same market, from our server with everything it does for a
 * request (access, parameters, version of the store, ETag, headers), from a native route, and from a plain handler.
 */
import { join } from "node:path";
import { FakeBackend } from "../../api/fixture.ts";
import { JoinedReads } from "../../api/reads/index.ts";
import { startApi } from "../../api/server.ts";
import { Market } from "../../test/api/market.ts";
import { type BenchRow, compare } from "../harness.ts";

const CONTENDER = join(import.meta.dir, "contender.ts");

export async function run(): Promise<BenchRow[]> {
  const market = await Market.make({ seed: 7, blocks: 1_500, lanes: 1 });
  try {
    const trades = Map.groupBy(market.truth.lines!["trades"]!, (line) => line.split("|")[6]!);
    const [mint] = [...trades].sort(([, a], [, b]) => b.length - a.length)[0]!;
    const rows: BenchRow[] = [];
    for (const [name, path] of [
      ["candles", `/v1/candles/${mint}?interval=s1&countback=100`],
      ["token", `/v1/mints/${mint}`],
    ] as const) {
      await Bun.write(join(market.folder, "body.json"), await answerTo(path, market.folder));
      const contender = (kind: string, label: string) => ({
        name: label,
        command: [process.execPath, CONTENDER, kind, market.folder, path],
      });
      const peers = [
        contender("native", "bare Bun.serve, native route"),
        contender("handler", "bare Bun.serve, handler"),
      ];
      rows.push(
        ...(await compare({ name, unit: "requests/s", ours: contender("ours", "sluice api"), peers, rounds: 5 })),
      );
    }
    return rows;
  } finally {
    await market.dispose();
  }
}

/** What our server says: what the others must say as well. */
async function answerTo(path: string, folder: string): Promise<Uint8Array> {
  const reads = new JoinedReads({ folder, lanes: 1, source: "main" });
  const options = { backend: new FakeBackend(), reads, version: "bench", log: () => undefined };
  const api = await startApi({ ...options, host: "127.0.0.1", port: 0 });
  try {
    const response = await fetch(api.url + path);
    if (!response.ok) throw new Error(`${path} was answered with ${response.status}`);
    return await response.bytes();
  } finally {
    await api.stop();
    reads.close();
  }
}
