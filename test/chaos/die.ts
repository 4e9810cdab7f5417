/**
 * Preloaded into a process that archives (`bun --preload`): ends it with SIGKILL after so many steps of its commits, and
 * lets the disk be full while a file says so. Steps lie before and after everything that a commit does, so any two of them
 * can be parted. The product knows nothing of this.
 */
import { appendFileSync, existsSync } from "node:fs";
import { FolderStore } from "../../storage/lake/folder-store.ts";
import { Manifest } from "../../storage/lake/manifest.ts";
import { S3Store } from "../../storage/lake/s3/store.ts";
import { LakeSink } from "../../storage/lake/sink.ts";
import { Spool } from "../../storage/lake/spool.ts";

const stepsLeft = Number(process.env["CHAOS_STEPS"] ?? "");
/** Only steps of this name count; empty: all. */
const only = process.env["CHAOS_STEP"] ?? "";
const stepsFile = process.env["CHAOS_STEPS_FILE"] ?? "";
const fullFile = process.env["CHAOS_FULL_FILE"] ?? "";

let steps = 0;

function step(name: string): void {
  if (!(stepsLeft > 0) || (only !== "" && only !== name) || ++steps < stepsLeft) return;
  appendFileSync(stepsFile, `${name}\n`);
  process.kill(process.pid, "SIGKILL");
  // Nothing of this process may go on until the signal is there.
  for (;;) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1_000);
}

type Methods = Record<string, (...args: unknown[]) => Promise<unknown>>;

/** Has methods of a class, its private ones as well, pass a step before and after; `before` may fail them. */
function watch(
  of: { readonly name: string; readonly prototype: object },
  names: readonly string[],
  before?: () => void,
) {
  const methods = of.prototype as Methods;
  for (const name of names) {
    const original = methods[name]!;
    methods[name] = async function (this: unknown, ...args) {
      step(`before ${of.name}.${name}`);
      before?.();
      const result = await original.apply(this, args);
      step(`after ${of.name}.${name}`);
      return result;
    };
  }
}

watch(LakeSink, ["writeFile", "commit"]);
watch(FolderStore, ["putIfAbsent", "delete"]);
watch(FolderStore, ["place", "writeAndPlace"], () => {
  if (fullFile === "" || !existsSync(fullFile)) return;
  throw Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC" });
});
watch(S3Store, ["putIfAbsent", "put", "delete"]);
watch(Manifest, ["append", "writeCheckpoint"]);
watch(Spool, ["append"]);
