#!/usr/bin/env bun
/**
 * New cases for the property tests: `bun run fuzz [paths] [--times N] [--minutes M]` runs each file that has some N times,
 * each time with another seed, in rounds, so that a short time is shared by all of them. A file that fails shows the seed,
 * the counterexample and the command that repeats it, and is left out of the rounds that follow.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";

const ROOT = join(import.meta.dir, "..");

const { values, positionals } = parseArgs({
  options: { times: { type: "string", default: "20" }, minutes: { type: "string", default: "10" } },
  allowPositionals: true,
});
const [times, minutes] = [Number(values.times), Number(values.minutes)];
if (!(times > 0) || !(minutes > 0)) throw new Error("--times and --minutes are numbers above 0");

const paths = positionals.map((path) => path.replace(/^\.\//, ""));
const files = [...new Bun.Glob("{pipeline,stages,storage,api,cli,simulator,test,bench}/**/*.test.ts").scanSync(ROOT)]
  .filter((file) => paths.length === 0 || paths.some((path) => file.startsWith(path)))
  .filter((file) => /from "(fast-check|.*test\/seed\.ts)"/.test(readFileSync(join(ROOT, file), "utf8")))
  .sort();
if (files.length === 0) throw new Error(`no property tests in ${paths.join(", ")}`);

/** Runs a file once. Null: the time was up before it had ended. */
async function passes(file: string, seed: number, endMs: number): Promise<boolean | null> {
  const child = Bun.spawn([process.execPath, "test", "--only-failures", "--timeout", "600000", `./${file}`], {
    cwd: ROOT,
    env: { ...process.env, SLUICE_TEST_SEED: String(seed) },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const timeUp = setTimeout(() => child.kill("SIGKILL"), endMs - performance.now());
  const [out, said] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  clearTimeout(timeUp);
  if (child.signalCode === "SIGKILL" && performance.now() >= endMs) return null;
  if (child.exitCode === 0) return true;
  console.log(`${out}${said}\nAgain: SLUICE_TEST_SEED=${seed} bun test --timeout 600000 ./${file}\n`);
  return false;
}

const endMs = performance.now() + minutes * 60_000;
const failed = new Set<string>();
let round = 0;
let ran = 0;
for (; round < times && performance.now() < endMs; round++) {
  for (const file of files) {
    if (failed.has(file)) continue;
    const seed = Math.floor(Math.random() * 2 ** 31);
    const passed = await passes(file, seed, endMs);
    if (passed === null) {
      console.log(`the time is up: ${minutes} minutes`);
      break;
    }
    ran++;
    if (!passed) failed.add(file);
  }
  console.log(`round ${round + 1} of ${times}: ${ran} runs of ${files.length} files, ${failed.size} failed`);
}
for (const file of failed) console.log(`failed: ${file}`);
process.exit(failed.size === 0 ? 0 : 1);
