/**
 * Goal: a token is shown once, is good for what it was made for, and for nothing once it is revoked; mistakes are said.
 * Method: the commands over one file, in this process; the file is read as the API reads it.
 */
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { TokenFile } from "../api/access/tokens.ts";
import { systemWorld } from "../pipeline/world.ts";
import { loadSettings } from "./context.ts";
import { BufferOutput } from "./output.ts";
import { register } from "./token.ts";

const folder = mkdtempSync(join(tmpdir(), "sluice-token-"));
afterAll(() => rmSync(folder, { recursive: true }));
const FILE = join(folder, "tokens.json");

async function sluice(...args: string[]): Promise<{ stdout: string; stderr: string }> {
  const [stdout, stderr] = [new BufferOutput(), new BufferOutput()];
  const program = new Command()
    .option("--json")
    .option("--set <setting>", "", (one, all: string[]) => [...all, one], []);
  const context = {
    stdout,
    stderr,
    load: (of: Command) => loadSettings(of.optsWithGlobals(), {}),
    setExitCode: () => undefined,
  };
  register(program.exitOverride(), context);
  await program.parseAsync(["--set", `api.tokensFile=${FILE}`, ...args], { from: "user" });
  return { stdout: stdout.text, stderr: stderr.text };
}

/** As a server that starts now sees it. */
const find = (token: string) => new TokenFile(FILE, systemWorld).find(token);

test("create prints the token and nothing else, says what it may, and keeps only its hash", async () => {
  const { stdout, stderr } = await sluice("token", "create", "terminal");
  const token = stdout.trim();
  expect(stdout).toBe(`${token}\n`);
  expect(stderr).toBe("terminal may read, live. Keep the token: it is not shown again.\n");
  expect(find(token)).toMatchObject({ name: "terminal", scopes: ["read", "live"], expires: null, rateLimit: null });
  expect(readFileSync(FILE, "utf8")).not.toContain(token.split("_")[2]!);
  expect(statSync(FILE).mode & 0o077).toBe(0);
});

test("scopes, days and a limit of its own; list tells all but the secret", async () => {
  const before = Date.now();
  const args = ["--scope", "read, control", "--expires", "90", "--rate", "500"];
  const { stdout } = await sluice("--json", "token", "create", "ops", ...args);
  const made = JSON.parse(stdout) as { token: string; expires: string };
  expect(find(made.token)).toMatchObject({ scopes: ["read", "control"], rateLimit: 500 });
  expect(Date.parse(made.expires) - before).toBeGreaterThanOrEqual(90 * 86_400_000);
  expect(Date.parse(made.expires) - Date.now()).toBeLessThanOrEqual(90 * 86_400_000);

  const listed = await sluice("--json", "token", "list");
  expect(JSON.parse(listed.stdout)).toMatchObject([{ name: "terminal" }, { name: "ops", expires: made.expires }]);
  for (const { stdout } of [listed, await sluice("token", "list")]) {
    expect(stdout).toContain("ops");
    expect(stdout).not.toContain(made.token.split("_")[2]!);
    expect(stdout).not.toContain("sha256");
  }
});

test("revoke, by name or id; the others stay", async () => {
  const { stdout } = await sluice("--json", "token", "create", "leaked");
  const { token, id } = JSON.parse(stdout) as { token: string; id: string };
  expect((await sluice("token", "revoke", id)).stdout).toBe(`revoked leaked (${id})\n`);
  expect(find(token)).toBeNull();
  expect((await sluice("token", "revoke", "ops")).stdout).toStartWith("revoked ops (");
  expect((await sluice("token", "list")).stdout).toMatch(/^\S+ {2}terminal +read,live +does not expire\n$/);
});

test.each([
  ["a name that is taken", ["create", "terminal"], "TOKEN_NAME"],
  ["a name that is none", ["create", "../x"], "TOKEN_NAME"],
  ["an unknown scope", ["create", "x", "--scope", "read,admin"], "USAGE"],
  ["no days", ["create", "x", "--expires", "0"], "USAGE"],
  ["an unknown token", ["revoke", "nobody"], "TOKEN_UNKNOWN"],
])("%s is refused, and nothing changes", async (_what, args, code) => {
  const before = readFileSync(FILE, "utf8");
  const error = await sluice("token", ...args).then(
    () => null,
    (thrown: unknown) => thrown,
  );
  expect(error).toMatchObject({ code });
  expect(readFileSync(FILE, "utf8")).toBe(before);
});
