/** The folder store. Goal: it keeps the contract of all stores, and leaves no half-written file under a real name. */
import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Fatal } from "../../pipeline/errors.ts";
import { FolderStore } from "./folder-store.ts";
import { storeConformance } from "./store.conformance.ts";
import { sha256Of } from "./store.ts";

async function folder(): Promise<string> {
  return mkdtemp(join(tmpdir(), "folder-store-"));
}

storeConformance("folder", async () => {
  const root = await folder();
  return {
    store: new FolderStore(root),
    again: () => new FolderStore(root),
    dispose: () => rm(root, { recursive: true, force: true }),
  };
});

test("no temporary file is left behind, and none is listed", async () => {
  const root = await folder();
  const store = new FolderStore(root);
  const body = new TextEncoder().encode("x");
  await store.putIfAbsent("a/one", body, sha256Of(body));
  await store.putIfAbsent("a/one", body, sha256Of(body));
  expect(await readdir(join(root, "a"))).toEqual(["one"]);
  await Bun.write(join(root, "a", ".new-crashed"), "half");
  expect(await store.list("")).toEqual(["a/one"]);
  await rm(root, { recursive: true });
});

test("a body on another device is stored as well", async () => {
  // Where there is no second device, this is one more put from the same one.
  const elsewhere = await mkdtemp(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "store-body-"));
  const root = await folder();
  const path = join(elsewhere, "body");
  const content = new Uint8Array(100_000).map((_, i) => i * 7);
  await Bun.write(path, content);
  const store = new FolderStore(root);
  expect(await store.putIfAbsent("a/far", { path }, sha256Of(content))).toBe("created");
  expect(await store.putIfAbsent("a/far", { path }, sha256Of(content))).toBe("exists-same");
  expect(sha256Of((await store.get("a/far"))!)).toBe(sha256Of(content));
  expect(await readdir(join(root, "a"))).toEqual(["far"]);
  await rm(elsewhere, { recursive: true });
  await rm(root, { recursive: true });
});

test("a folder that cannot be used is a fatal error that names it", async () => {
  const root = await folder();
  await Bun.write(join(root, "file"), "");
  const body = new Uint8Array(1);
  const store = new FolderStore(join(root, "file", "lake"));
  const error = await store.putIfAbsent("k", body, sha256Of(body)).catch((e: unknown) => e);
  expect(error).toBeInstanceOf(Fatal);
  expect((error as Fatal).where).toContain(root);
  await rm(root, { recursive: true });
});
