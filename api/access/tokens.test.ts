/** Goal: a token opens what it says, once made and until revoked; the file tells no secret. Method: a file, a stopped clock. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TokenFile } from "./tokens.ts";

let folder: string;
let now = 1_000_000;
const world = { now: () => now, monotonic: () => now };
const open = () => new TokenFile(join(folder, "sub", "tokens.json"), world);

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tokens-"));
  now = Date.now();
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

test("a token is found by itself, and by nothing else", () => {
  const file = open();
  const { token, entry } = file.create({ name: "a", scopes: ["read", "live", "read"] });
  expect(entry.scopes).toEqual(["read", "live"]);
  expect(file.find(token)).toEqual(entry);
  const changed = token.slice(0, -1) + (token.endsWith("0") ? "1" : "0");
  const wrong = [changed, token.slice(0, -1), `${token}0`, token.toUpperCase(), ` ${token}`, "", "slc_", entry.sha256];
  wrong.push(`slc_${entry.id}_${entry.sha256}`, token.replace(entry.id, "000000000000"), token.replace("slc", "ѕlc"));
  for (const text of wrong) expect({ text, found: file.find(text) }).toEqual({ text, found: null });
});

test("the file holds no token, and nobody else may read it", () => {
  const file = open();
  const { token } = file.create({ name: "a", scopes: ["read"] });
  expect(readFileSync(file.path, "utf8")).not.toContain(token.slice(17));
  expect(statSync(file.path).mode & 0o777).toBe(0o600);
});

test("a token that was revoked, or has expired, is none; a running server notices within a second", () => {
  const server = open();
  const command = open();
  const kept = command.create({ name: "kept", scopes: ["read"] });
  const gone = command.create({ name: "gone", scopes: ["control"] });
  const brief = command.create({ name: "brief", scopes: ["read"], expires: now + 5_000 });
  expect([kept, gone, brief].map(({ token }) => server.find(token)?.name)).toEqual(["kept", "gone", "brief"]);
  expect(command.revoke("gone")?.scopes).toEqual(["control"]);
  expect(command.revoke("gone")).toBeNull();
  now += 1_000;
  expect([kept, gone, brief].map(({ token }) => server.find(token)?.name)).toEqual(["kept", undefined, "brief"]);
  now += 4_000;
  expect(server.find(brief.token)).toBeNull();
  expect(server.find(kept.token)?.name).toBe("kept");
});

test("names are told apart and kept simple", () => {
  const file = open();
  file.create({ name: "a.b-c_1", scopes: ["read"] });
  for (const name of ["a.b-c_1", "", "a b", "../x", "x".repeat(65)]) {
    expect(() => file.create({ name, scopes: ["read"] })).toThrow(expect.objectContaining({ code: "TOKEN_NAME" }));
  }
});

test("two commands at once do not lose a token; a dead one's lock is taken away", () => {
  const file = open();
  file.create({ name: "a", scopes: ["read"] });
  const lock = `${file.path}.lock`;
  writeFileSync(lock, "1");
  expect(() => file.create({ name: "b", scopes: ["read"] })).toThrow(
    expect.objectContaining({ code: "TOKENS_LOCKED" }),
  );
  utimesSync(lock, (now - 60_000) / 1000, (now - 60_000) / 1000);
  file.create({ name: "b", scopes: ["read"] });
  expect(
    open()
      .entries()
      .map((entry) => entry.name),
  ).toEqual(["a", "b"]);
});

test("a file that cannot be trusted opens nothing", () => {
  const file = open();
  file.create({ name: "a", scopes: ["read"] });
  for (const content of ["", "{}", '{"tokens":[{}]}', '{"tokens":[],"more":1}']) {
    writeFileSync(file.path, content);
    expect(() => open().find(`slc_${"0".repeat(12)}_${"0".repeat(64)}`)).toThrow(
      expect.objectContaining({ code: "TOKENS_FILE" }),
    );
  }
});
