/**
 * Goal: the rehearsal of a program's upgrade in OPERATIONS.md works as it is written: stale rows and kept payloads become right
 * ones. Method: the page's own commands and settings, in order, in an empty folder; only the port is another, and free.
 */
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SETTING_VARIABLES } from "../../pipeline/config.ts";

const ROOT = join(import.meta.dir, "..", "..");
const page = readFileSync(join(ROOT, "OPERATIONS.md"), "utf8");
const walk = page.slice(page.indexOf("To rehearse it"), page.indexOf("\n## Backup and restore"));
const blocks = (language: string) =>
  [...walk.matchAll(new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\`\`\``, "g"))].map((m) => m[1]!);
const commands = blocks("sh").flatMap((block) => block.trim().split("\n"));

const folder = mkdtempSync(join(tmpdir(), "sluice-rehearsal-"));
let replay: Bun.Subprocess | null = null;
afterAll(async () => {
  replay?.kill();
  await replay?.exited;
  rmSync(folder, { recursive: true, force: true });
});

const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !SETTING_VARIABLES.has(name)));

/** The words of the page's command that holds `words`. */
function named(words: string): string[] {
  const command = commands.find((line) => line.includes(words))!.replace(/ +#.*$/, "");
  return [...command.matchAll(/"([^"]*)"|(\S+)/g)].map((m) => m[1] ?? m[2]!).slice(1);
}

function sluice(args: readonly string[]) {
  const options = { cwd: folder, env, stdin: "ignore", stdout: "pipe", stderr: "pipe" } as const;
  return Bun.spawn([process.execPath, join(ROOT, "main.ts"), ...args], options);
}

async function run(...args: string[]): Promise<string> {
  const child = sluice(args);
  const [out, err, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  if (code !== 0) throw new Error(`sluice ${args.join(" ")} ended with ${code}\n${err.slice(-2_000)}`);
  return out;
}

async function firstLine(stream: ReadableStream<Uint8Array>): Promise<string> {
  let text = "";
  for await (const piece of stream) {
    text += Buffer.from(piece).toString();
    if (text.includes("\n")) return text.slice(0, text.indexOf("\n"));
  }
  throw new Error("it ended before it said anything");
}

const kept = async () => {
  const reasons = await run("sql", "select reason, count(*) as n from quarantine group by reason", "--json");
  return Object.fromEntries(
    (JSON.parse(reasons) as { reason: string; n: string }[]).map(({ reason, n }) => [reason, n]),
  );
};

test("the rehearsal of OPERATIONS.md", async () => {
  symlinkSync(join(ROOT, "docs"), join(folder, "docs"));
  await run(...named("simulate"));
  const serving = sluice([...named("replay"), "--port", "0"]);
  replay = serving;
  const [settings, upgraded] = blocks("yaml");
  expect(settings).toContain("http://127.0.0.1:9000");
  const text = settings!.replace("http://127.0.0.1:9000", await firstLine(serving.stdout));
  writeFileSync(join(folder, "sluice.yaml"), text);
  writeFileSync(join(folder, "upgraded.yaml"), text + upgraded!);

  await run(...named("stages"));
  expect(await run(...named("quarantine list"))).toContain("bad_value");
  const before = await kept();
  expect(Object.keys(before).sort()).toEqual(["bad_value", "bytes_left_over", "unknown_length"]);
  expect(await run(...named("--dry-run"))).toContain("nothing was changed");
  expect(await kept()).toEqual(before);

  await run(...named("--rebuild"));
  // Of the payloads that were set aside, those that the simulator itself has cut short are left.
  expect(await kept()).toEqual({ unknown_length: before["unknown_length"]! });
  expect(JSON.parse(await run(...named(" sql "), "--json"))).toEqual([{ swaps: "2854", grown: "1980" }]);
  await run(...named("verify"));
}, 240_000);
