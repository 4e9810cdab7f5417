/**
 * Goal: the walk of docs/decoders.md works as it is written: a program known by its IDL alone ends up in hot store and lake,
 * be the lake a folder or a bucket.
 * Method: the page's own commands and settings, in order, in an empty folder; only the ports are others, and free. The second
 * run adds the settings that the page names for a bucket.
 */
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SETTING_VARIABLES } from "../../pipeline/config.ts";
import { S3Server } from "../../storage/lake/s3/server-fixture.ts";

const ROOT = join(import.meta.dir, "..", "..");
const page = readFileSync(join(ROOT, "docs", "decoders.md"), "utf8");
const walk = page.slice(page.indexOf("from its IDL alone"), page.indexOf("\n## Programs"));
const blocks = (language: string) =>
  [...walk.matchAll(new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\`\`\``, "g"))].map((m) =>
    m[1]!.replaceAll(/^ {3}/gm, ""),
  );
const commands = blocks("sh").flatMap((block) => block.trim().split("\n"));

const folder = mkdtempSync(join(tmpdir(), "sluice-walk-"));
let replay: Bun.Subprocess | null = null;
const bucket = new S3Server();
afterAll(async () => {
  await bucket.stop();
  replay?.kill();
  await replay?.exited;
  rmSync(folder, { recursive: true, force: true });
});

const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !SETTING_VARIABLES.has(name)));

/** The words of a command line that begins with `bun run sluice`. */
function argumentsOf(command: string): string[] {
  const words = [...command.matchAll(/"([^"]*)"|(\S+)/g)].map((m) => m[1] ?? m[2]!);
  expect(words.slice(0, 3)).toEqual(["bun", "run", "sluice"]);
  return words.slice(3);
}

function sluice(args: readonly string[]) {
  return Bun.spawn([process.execPath, join(ROOT, "main.ts"), ...args], {
    cwd: folder,
    env,
    stdout: "pipe",
    stderr: "pipe",
  });
}

async function run(args: readonly string[]): Promise<string> {
  const child = sluice(args);
  const [out, err, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  if (code !== 0) throw new Error(`sluice ${args.join(" ")} ended with ${code}\n${err.slice(-2_000)}`);
  return out;
}

async function firstLine(child: { readonly stdout: ReadableStream<Uint8Array> }): Promise<string> {
  let text = "";
  for await (const piece of child.stdout) {
    text += Buffer.from(piece).toString();
    if (text.includes("\n")) return text.slice(0, text.indexOf("\n"));
  }
  throw new Error("it ended before it said anything");
}

const named = (word: string) => commands.filter((command) => command.includes(`sluice ${word}`)).map(argumentsOf);

/** The page's settings, with this endpoint and these lines more, replace those that were. */
function settle(endpoint: string, more: readonly string[] = []): void {
  const [settings] = blocks("yaml");
  expect(settings).toContain("http://127.0.0.1:9000");
  const text = settings!.replace("http://127.0.0.1:9000", endpoint);
  writeFileSync(join(folder, "sluice.yaml"), [text.trimEnd(), ...more, ""].join("\n"));
}

/** Indexes, and asks what the page asks. */
async function indexAndAsk(): Promise<void> {
  await run(named("stages")[0]!);
  const [sums, closes, kept] = await Promise.all(
    named("sql").map(async (args) => JSON.parse(await run([...args, "--json"])) as Record<string, string>[]),
  );
  // What the simulator says of this chain: `sluice simulate --json`.
  expect(sums).toEqual([{ trades: "2038", sol: expect.anything() }]);
  expect(Number(sums![0]!["sol"])).toBeCloseTo(2397.159995453, 6);
  expect(closes).toHaveLength(3);
  expect(kept!.map((row) => row["detail"]).join()).toContain("TokenCreatedEvent");
  await run(named("verify")[0]!);
}

test("the walk of docs/decoders.md", async () => {
  symlinkSync(join(ROOT, "docs"), join(folder, "docs"));
  expect(commands.map((command) => argumentsOf(command)[0])).toEqual([
    ...["simulate", "idl", "replay", "stages", "sql", "sql", "sql", "verify"],
  ]);

  await run(named("simulate")[0]!);
  const explained = await run(named("idl")[0]!);
  expect(explained).toContain("7 events can be decoded");
  expect(explained).toContain("mint: mint_account");

  const serving = sluice([...named("replay")[0]!, "--port", "0"]);
  replay = serving;
  const endpoint = await firstLine(serving);
  settle(endpoint);
  await indexAndAsk();

  const [trades] = JSON.parse(
    await run(["sql", "select count(*) as n, count(*) filter (final) as final from trades", "--json"]),
  );
  expect(trades).toEqual({ n: "2038", final: "2038" });
  const [tokens] = JSON.parse(await run(["sql", "select count(*) as n from mints", "--json"]));
  expect(tokens).toEqual({ n: "40" });

  // The same walk again, from nothing, into a bucket.
  rmSync(join(folder, "walk-data"), { recursive: true });
  expect(walk).toContain("`lake.url: s3://bucket/prefix` and `lake.s3.endpoint` put the lake into a bucket");
  settle(endpoint, [
    "lake.url: s3://bucket/prefix",
    `lake.s3: {endpoint: "${bucket.url}", accessKeyId: walker, secretAccessKey: not-a-secret, createBucket: true}`,
  ]);
  await indexAndAsk();
  const lake = [...bucket.buckets.get("bucket")!.keys()];
  for (const dataset of ["market_trade", "full_close", "trades"])
    expect(lake.filter((key) => key.startsWith("prefix/") && key.includes(dataset))).not.toBeEmpty();

  // What the bucket holds is enough: a host that has nothing else answers the same.
  rmSync(join(folder, "walk-data"), { recursive: true });
  const question = named("sql")[0]!;
  expect(JSON.parse(await run([...question, "--json"]))[0].trades).toBe("2038");
}, 240_000);
