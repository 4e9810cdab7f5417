/** Recordings on disk: what `writeSimulation` writes is what `simulate` yields, and a failure leaves nothing behind. */
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readRecording } from "../pipeline/source/recording.ts";
import { simulate, writeSimulation } from "./index.ts";

const folder = mkdtempSync(join(tmpdir(), "sluice-simulator-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test("a recording holds the messages of the simulation, and its truth is the same", async () => {
  const options = { seed: 1, blocks: 60, output: "transactions" } as const;
  const out = join(folder, "market.substreams.zst");
  const { recording, ...truth } = await writeSimulation({ ...options, out });
  const generator = simulate(options);
  let bytes = 0;
  for await (const message of readRecording(out)) {
    const next = generator.next();
    if (next.done) throw new Error("the recording has more messages than the simulation");
    expect(Buffer.compare(message, next.value.response)).toBe(0);
    bytes += message.length;
  }
  const end = generator.next();
  expect(end.done).toBe(true);
  expect(end.value).toEqual(truth);
  expect(recording.messages).toBe(truth.blocks + truth.chain.undoneBlocks + truth.chain.undos);
  expect(recording.rawBytes).toBeGreaterThan(bytes);
});

test("a recording that cannot be made leaves no file", async () => {
  const before = readdirSync(folder);
  const options = { seed: 1, blocks: 5, output: "transactions" } as const;
  const nowhere = join(folder, "missing", "market.substreams.zst");
  await expect(writeSimulation({ ...options, out: nowhere })).rejects.toMatchObject({ code: "RECORDING_WRITE" });
  const refused = writeSimulation({ ...options, blocks: 0, out: join(folder, "refused.substreams.zst") });
  await expect(refused).rejects.toMatchObject({ code: "SIMULATION_OPTION" });
  expect(readdirSync(folder)).toEqual(before);
});
