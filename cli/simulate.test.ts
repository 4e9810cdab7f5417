/** Goal: the command writes a readable recording and prints its truth. Method: small simulations into a temporary folder. */
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { SluiceError } from "../pipeline/errors.ts";
import { readRecording } from "../pipeline/source/recording.ts";
import type { Truth } from "../simulator/index.ts";
import { BufferOutput } from "./output.ts";
import { type SimulateOptions, simulateToFile } from "./simulate.ts";

const folder = mkdtempSync(join(tmpdir(), "sluice-simulate-"));
afterAll(() => rmSync(folder, { recursive: true }));

const OPTIONS: SimulateOptions = {
  seed: 7,
  blocks: 20,
  profile: "market",
  output: "transactions",
  out: join(folder, "chain.zst"),
  json: true,
  lines: false,
  growth: null,
};

async function run(options: Partial<SimulateOptions> = {}): Promise<{ stdout: string; stderr: string }> {
  const [stdout, stderr] = [new BufferOutput(), new BufferOutput()];
  await simulateToFile({ ...OPTIONS, ...options }, { stdout, stderr });
  return { stdout: stdout.text, stderr: stderr.text };
}

test("JSON on stdout is the truth of the recording that was written; messages are on stderr", async () => {
  const { stdout, stderr } = await run();
  const truth = JSON.parse(stdout) as Truth & { recording: { messages: number } };
  expect(truth).toMatchObject({ seed: 7, profile: "market", blocks: 20 });
  expect(truth.lines).toBeUndefined();
  const messages = await Array.fromAsync(readRecording(OPTIONS.out));
  expect(messages.length).toBe(truth.recording.messages);
  expect(stderr).toStartWith("simulating: 20 blocks, seed 7\n");
});

test("an upgrade of the program changes the recording, not the truth", async () => {
  const truthOf = async (growth: SimulateOptions["growth"]) => {
    const { recording, ...truth } = JSON.parse((await run({ growth })).stdout) as Truth & { recording: object };
    return { recording, truth };
  };
  const before = await truthOf(null);
  const after = await truthOf({ afterSlots: 5, at: "end" });
  expect(after.truth).toEqual(before.truth);
  expect(after.recording).not.toEqual(before.recording);
});

test("--lines keeps every canonical line", async () => {
  const truth = JSON.parse((await run({ lines: true })).stdout) as Truth;
  expect(truth.lines?.["trades"]?.length).toBe(truth.trades);
});

test("a summary for people", async () => {
  const { stdout } = await run({ json: false });
  expect(stdout).toMatch(/^blocks that survive +20$/m);
  expect(stdout).toContain(OPTIONS.out);
});

test("a folder that is not there leaves nothing behind and says so", async () => {
  const error = await run({ out: join(folder, "nowhere", "chain.zst") }).catch((e: SluiceError) => e.code);
  expect(error).toBe("RECORDING_WRITE");
  expect(readdirSync(folder)).toEqual(["chain.zst"]);
});
