/** Contender: `ws` on Node, a `send` for each client and message; the same messages, made beforehand. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { HeldStep } from "../../api/live/window.ts";
import { steps, textsOf } from "./blocks.ts";

const folder = mkdtempSync(join(tmpdir(), "sluice-bench-"));
const file = join(folder, "blocks.json");
writeFileSync(file, JSON.stringify(steps().map((step) => textsOf(new HeldStep(step)))));
const readers = [process.execPath, join(import.meta.dir, "readers.ts")];
const child = Bun.spawn(["node", join(import.meta.dir, "ws-server.mjs"), file, ...readers], {
  stdout: "inherit",
  stderr: "inherit",
});
const code = await child.exited;
rmSync(folder, { recursive: true, force: true });
process.exit(code);
