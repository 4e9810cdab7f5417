/**
 * Goal: commands behave as processes: data on stdout, messages on stderr, exit codes, an end on SIGTERM. Method: the real
 * `main.ts` is run; what it does is held by the tests of each command.
 */
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const MAIN = join(import.meta.dir, "..", "main.ts");
const folder = mkdtempSync(join(tmpdir(), "sluice-main-"));
afterAll(() => rmSync(folder, { recursive: true }));

function start(...args: string[]) {
  const env = { PATH: process.env["PATH"] ?? "", SUBSTREAMS_JWT_TOKEN: "a-secret-token" };
  return Bun.spawn([process.execPath, MAIN, ...args], {
    cwd: folder,
    env,
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
}

async function sluice(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const child = start(...args);
  const [stdout, stderr, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  return { code, stdout, stderr };
}

test("config show: settings as data; a wrong one is a mistake of usage, with a hint", async () => {
  const shown = await sluice("config", "show", "--json", "--set", "lanes=8");
  expect({ code: shown.code, stderr: shown.stderr }).toEqual({ code: 0, stderr: "" });
  const settings = JSON.parse(shown.stdout) as { name: string; value: unknown; origin: string }[];
  expect(settings.find((s) => s.name === "lanes")).toMatchObject({ value: 8, origin: "command line" });
  expect(settings.find((s) => s.name === "source.token")).toMatchObject({ value: "********", origin: "environment" });

  const wrong = await sluice("config", "show", "--set", "lane=8");
  expect({ code: wrong.code, stdout: wrong.stdout }).toEqual({ code: 2, stdout: "" });
  expect(wrong.stderr).toContain('Did you mean "lanes"?');
  expect(wrong.stderr).not.toContain("a-secret-token");
});

test("a recording is simulated, served, and no longer served after SIGTERM", async () => {
  const file = join(folder, "chain.zst");
  const simulated = await sluice("simulate", "--blocks", "10", "--seed", "5", "--out", file, "--json");
  expect(simulated.code).toBe(0);
  expect(JSON.parse(simulated.stdout)).toMatchObject({ seed: 5, blocks: 10 });

  const server = start("replay", file, "--port", "0", "--json");
  const { value } = await server.stdout.getReader().read();
  const ready = JSON.parse(new TextDecoder().decode(value)) as { port: number };
  expect(ready.port).toBeGreaterThan(0);
  server.kill("SIGTERM");
  expect(await server.exited).toBe(0);
});

test("a missing recording fails with its code, and the wrong use of an option with another", async () => {
  const missing = await sluice("replay", join(folder, "nowhere.zst"));
  expect(missing).toMatchObject({ code: 1, stdout: "" });
  expect(missing.stderr).toContain("RECORDING_MISSING");
  expect(await sluice("replay", "x.zst", "--port", "99999")).toMatchObject({ code: 2, stdout: "" });
  expect(await sluice("simulate")).toMatchObject({ code: 2, stdout: "" });
});

test("what the system says of a path is a code, the path and a hint, and no stack", async () => {
  const file = join(folder, "a-file");
  writeFileSync(file, "");
  const cases = [
    [["--config", join(folder, "nodir", "t.yaml"), "init", "--yes"], "FILE_MISSING", join("nodir", "t.yaml")],
    [["token", "list", "--data", file], "FILE_KIND", file],
    [["token", "create", "a", "--data", join(file, "x")], "FILE_KIND", file],
    [["simulate", "--blocks", "5", "--out", folder], "FILE_KIND", folder],
  ] as const;
  const answers = await Promise.all(cases.map(([args]) => sluice(...args)));
  for (const [i, [args, code, path]] of cases.entries()) {
    const { stderr } = answers[i]!;
    expect([args, answers[i]!.code, answers[i]!.stdout]).toEqual([args, 1, ""]);
    expect(stderr).toContain(`sluice: ${code}: `);
    expect(stderr).toContain(path);
    expect(stderr).not.toMatch(/^ +at /m);
  }
});
