/**
 * What every object store must do, as tests. Goal: the lake's promises rest on these few behaviours, so each
 * implementation is held to all of them. Method: `storeConformance(name, makeStore)` in the implementation's test file.
 */
import { describe, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Fatal } from "../../pipeline/errors.ts";
import { type ObjectStore, sha256Of } from "./store.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

/** `makeStore` gives an empty store each time; `again` opens the same one as another process would. */
export function storeConformance(
  name: string,
  makeStore: () => Promise<{ store: ObjectStore; again: () => ObjectStore; dispose: () => Promise<void> }>,
): void {
  const withStore = (body: (store: ObjectStore, again: () => ObjectStore) => Promise<void>) => async () => {
    const { store, again, dispose } = await makeStore();
    try {
      await body(store, again);
    } finally {
      await dispose();
    }
  };
  const put = (store: ObjectStore, key: string, text: string) =>
    store.putIfAbsent(key, bytes(text), sha256Of(bytes(text)));

  describe(`object store: ${name}`, () => {
    test(
      "what is put can be got, by others too",
      withStore(async (store, again) => {
        expect(await put(store, "a/b/c.json", "one")).toBe("created");
        expect(Buffer.from((await again().get("a/b/c.json"))!).toString()).toBe("one");
        const head = await store.head("a/b/c.json");
        expect(head!.bytes).toBe(3);
        // By the clock of the store, which may be another machine's.
        expect(Math.abs(head!.modifiedAt - Date.now())).toBeLessThan(3_600_000);
        expect(await store.checksum("a/b/c.json")).toBe(sha256Of(bytes("one")));
        expect(await Bun.file((await store.localPath("a/b/c.json"))!).text()).toBe("one");
      }),
    );

    test(
      "an empty object is an object",
      withStore(async (store) => {
        expect(await put(store, "empty", "")).toBe("created");
        expect(await store.head("empty")).toMatchObject({ bytes: 0 });
        expect(await put(store, "empty", "x")).toBe("exists-other");
      }),
    );

    test(
      "a key is taken once; the outcome says whether the bytes are the same",
      withStore(async (store, again) => {
        expect(await put(store, "k", "one")).toBe("created");
        expect(await put(again(), "k", "one")).toBe("exists-same");
        expect(await put(again(), "k", "two")).toBe("exists-other");
        expect(Buffer.from((await store.get("k"))!).toString()).toBe("one");
      }),
    );

    test(
      "of many writers at once exactly one creates",
      withStore(async (_, again) => {
        const texts = Array.from({ length: 12 }, (_, i) => `writer ${i}`);
        const outcomes = await Promise.all(texts.map((text) => put(again(), "race", text)));
        expect(outcomes.filter((o) => o === "created")).toHaveLength(1);
        expect(outcomes.filter((o) => o === "exists-other")).toHaveLength(11);
        const winner = texts[outcomes.indexOf("created")]!;
        expect(Buffer.from((await again().get("race"))!).toString()).toBe(winner);
      }),
    );

    test(
      "a local file is stored as it is and left alone",
      withStore(async (store) => {
        const folder = await mkdtemp(join(tmpdir(), "store-body-"));
        const path = join(folder, "body");
        const content = new Uint8Array(300_000).map((_, i) => i * 31);
        await Bun.write(path, content);
        expect(await store.putIfAbsent("file", { path }, sha256Of(content))).toBe("created");
        expect(await store.putIfAbsent("file", { path }, sha256Of(content))).toBe("exists-same");
        expect(sha256Of((await store.get("file"))!)).toBe(sha256Of(content));
        expect(sha256Of(await Bun.file(path).bytes())).toBe(sha256Of(content));
        await rm(folder, { recursive: true });
        expect(sha256Of((await store.get("file"))!)).toBe(sha256Of(content));
      }),
    );

    test(
      "bytes that do not match their checksum are refused",
      withStore(async (store) => {
        await expect(store.putIfAbsent("bad", bytes("one"), sha256Of(bytes("two")))).rejects.toBeInstanceOf(Fatal);
        expect(await store.get("bad")).toBeNull();
      }),
    );

    test(
      "what is not there is null, and deleting it is no error",
      withStore(async (store) => {
        expect(await store.get("none/here")).toBeNull();
        expect(await store.head("none")).toBeNull();
        expect(await store.localPath("none")).toBeNull();
        expect(await store.checksum("none")).toBeNull();
        expect(await store.list("none/")).toEqual([]);
        await store.delete("none");
        await put(store, "gone", "x");
        await store.delete("gone");
        expect(await store.get("gone")).toBeNull();
        expect(await store.localPath("gone")).toBeNull();
        expect(await put(store, "gone", "y")).toBe("created");
      }),
    );

    test(
      "list gives all keys of a prefix, sorted, and no others",
      withStore(async (store) => {
        for (const key of ["m/0002", "m/0001", "m/deep/3", "mm/1", "n/1"]) await put(store, key, key);
        expect(await store.list("m/")).toEqual(["m/0001", "m/0002", "m/deep/3"]);
        expect(await store.list("m")).toEqual(["m/0001", "m/0002", "m/deep/3", "mm/1"]);
        expect(await store.list("m/000")).toEqual(["m/0001", "m/0002"]);
        expect(await store.list("")).toHaveLength(5);
      }),
    );

    test(
      "keys that could leave the store are refused",
      withStore(async (store) => {
        for (const key of ["", "/etc/x", "../x", "a/../../x", "a//b", "a\\b", "a/.hidden", "a\0b", "x".repeat(600)]) {
          await expect(put(store, key, "x")).rejects.toBeInstanceOf(Fatal);
          await expect(store.get(key)).rejects.toBeInstanceOf(Fatal);
        }
        expect(await store.list("")).toEqual([]);
      }),
    );
  });
}
