/**
 * Goal: one word that comes twice is one, also where the process was too busy to hear it at once; a second Ctrl-C is another.
 * Method: a process of its own that is told to end, and either works without a pause or waits.
 */
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const folder = mkdtempSync(join(tmpdir(), "sluice-signals-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Runs `told` when it is told to end, and sends the signal again once that has written a line. */
async function toldTwice(told: string, then: () => void = () => undefined): Promise<{ code: number; said: string }> {
  const script = `
    import { existsSync, writeSync } from "node:fs";
    import { stopWhenTold } from ${JSON.stringify(join(import.meta.dir, "signals.ts"))};
    const stop = new AbortController();
    const busy = setInterval(() => undefined, 1_000);
    const end = () => { writeSync(1, "in order\\n"); clearInterval(busy); process.exit(0); };
    stop.signal.addEventListener("abort", () => { ${told} });
    stopWhenTold(stop);
    writeSync(1, "ready\\n");
  `;
  const file = join(folder, "told.ts");
  writeFileSync(file, script);
  const child = Bun.spawn([process.execPath, file], { stdout: "pipe", stderr: "inherit" });
  let said = "";
  let signals = 0;
  for await (const piece of child.stdout.pipeThrough(new TextDecoderStream())) {
    said += piece;
    if (said.split("\n").length - 1 <= signals || signals === 2) continue;
    child.kill("SIGINT");
    if (++signals === 2) then();
  }
  return { code: await child.exited, said };
}

test("behind work that went on for more than a second, the word that came at once is the same", async () => {
  const sent = join(folder, "sent");
  const work = `
    writeSync(1, "told\\n");
    const began = performance.now();
    while (!existsSync(${JSON.stringify(sent)}) || performance.now() - began < 1_500) Bun.sleepSync(10);
    setTimeout(end, 50);`;
  expect(await toldTwice(work, () => writeFileSync(sent, ""))).toEqual({ code: 0, said: "ready\ntold\nin order\n" });
}, 60_000);

test("a second Ctrl-C, later, ends at once", async () => {
  const wait = `setTimeout(() => setTimeout(() => { writeSync(1, "still at it\\n"); }, 200), 1_000);`;
  expect(await toldTwice(wait)).toEqual({ code: 130, said: "ready\nstill at it\n" });
}, 60_000);
