/**
 * Goal: the shell is told what may come next, from the commands as they are, and never evaluates what was typed. Method: the
 * real command is asked; the bash script is loaded by a real bash, where there is one, with the program on its PATH.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const MAIN = join(import.meta.dir, "..", "main.ts");
const folder = mkdtempSync(join(tmpdir(), "sluice-completions-"));
beforeAll(() => {
  const bin = join(folder, "sluice");
  writeFileSync(bin, `#!/bin/sh\nexec "${process.execPath}" "${MAIN}" "$@"\n`);
  chmodSync(bin, 0o755);
});
afterAll(() => rmSync(folder, { recursive: true }));

async function run(command: readonly string[], stdin = ""): Promise<string> {
  const env = { PATH: `${folder}:${process.env["PATH"] ?? ""}` };
  const child = Bun.spawn([...command], {
    cwd: folder,
    env,
    stdin: Buffer.from(stdin),
    stdout: "pipe",
    stderr: "pipe",
  });
  return (await child.stdout.text()).trimEnd();
}

async function next(...words: string[]): Promise<string[]> {
  const text = await run([process.execPath, MAIN, "__complete", "--", ...words]);
  return text === "" ? [] : text.split("\n").map((line) => line.split("\t")[0]!);
}

describe("what may come next", () => {
  test("commands, and what they are for", async () => {
    expect(await next("sta")).toEqual(["stages"]);
    expect(await next("")).toEqual(expect.arrayContaining(["demo", "doctor", "init", "explain", "sql"]));
    expect(await next("")).not.toContain("__complete");
    expect(await next("config", "")).toEqual(expect.arrayContaining(["show", "schema"]));
  });

  test("options of the command, and those that all have", async () => {
    const found = await next("stages", "--");
    expect(found).toEqual(expect.arrayContaining(["--node", "--exit-at-end", "--set", "--config", "--json"]));
    expect(await next("--js")).toEqual(["--json"]);
    expect(new Set(found).size).toBe(found.length);
  });

  test("values: stages, checks, codes, settings; after the value of an option, arguments again", async () => {
    expect(await next("stages", "decode", "sh")).toEqual(["shard"]);
    expect(await next("doctor", "n")).toEqual(["nats"]);
    expect(await next("explain", "STREAM_F")).toEqual(["STREAM_FULL", "STREAM_FENCED"]);
    expect(await next("stages", "--set", "log.")).toEqual(["log.level=", "log.format="]);
    expect(await next("init", "--preset", "pump")).toEqual(["pumpfun", "pumpfun_amm"]);
    expect(await next("stages", "--set", "lanes=8", "jan")).toEqual(["janitor"]);
  });

  test("what only a file can be is left to the shell", async () => {
    expect(await next("--config", "")).toEqual([]);
    expect(await next("replay", "")).toEqual([]);
  });
});

describe("scripts", () => {
  test("one for each shell, and a mistake is told", async () => {
    for (const shell of ["bash", "zsh", "fish"]) {
      const script = await run([process.execPath, MAIN, "completions", shell]);
      expect(script).toContain("sluice __complete --");
      expect(script).not.toMatch(/\beval\b/);
    }
    expect(await run([process.execPath, MAIN, "completions", "tcsh"])).toBe("");
  });

  test("bash completes with it, twice loaded, and runs nothing of what was typed", async () => {
    const bash = Bun.which("bash");
    if (bash === null) throw new Error("this test needs bash");
    const script = await run([process.execPath, MAIN, "completions", "bash"]);
    const ask = (...words: string[]) =>
      `COMP_WORDS=(sluice ${words.map((w) => `'${w}'`).join(" ")}); COMP_CWORD=${words.length}; _sluice 2>/dev/null; echo "\${COMPREPLY[*]}"\n`;
    const text = [
      script,
      script,
      ask("doc"),
      ask("stages", "la"),
      ask("sql", "$(touch evaluated)"),
      ask("sql", "`touch evaluated`"),
    ];
    expect((await run([bash, "--norc"], text.join("\n"))).split("\n")).toEqual(["doctor", "lane", "", ""].slice(0, 2));
    expect(existsSync(join(folder, "evaluated"))).toBe(false);
  });
});
