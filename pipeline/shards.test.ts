/** Shards and lane owners. Goal: known mints keep their shard for ever; a node that leaves moves only its own keys. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { laneOf, rendezvous, SHARDS, shardOf } from "./shards.ts";

test("golden: sha256 of the base58 text, first eight hex digits, modulo 64", () => {
  expect(shardOf("JBMmrp6jhksqnxDBskkmVvWHhJLaPBjgiMHEroJbUTBZ")).toBe(0x119d334f % 64);
  expect(shardOf("81WZbeJwfo9mTBRZsBqaUBWa2jeRKH2LQi54uwXdZYoa")).toBe(0xaba1db1c % 64);
  expect(laneOf("81WZbeJwfo9mTBRZsBqaUBWa2jeRKH2LQi54uwXdZYoa", 8)).toBe((0xaba1db1c % SHARDS) % 8);
});

test("every node gets a share, and only a leaving node's keys move", () => {
  const nodes = ["a", "b", "c", "d"];
  const keys = Array.from({ length: 400 }, (_, i) => `lane.${i}`);
  const before = keys.map((k) => rendezvous(k, nodes));
  for (const node of nodes) expect(before.filter((n) => n === node).length).toBeGreaterThan(60);
  const after = keys.map((k) => rendezvous(k, ["a", "b", "d"]));
  for (const [i, owner] of before.entries()) if (owner !== "c") expect(after[i]!).toBe(owner!);
});

test("the order in which nodes are listed does not matter", () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.string(), { minLength: 1, maxLength: 8 }), fc.string(), (nodes, key) => {
      expect(rendezvous(key, [...nodes].reverse())).toBe(rendezvous(key, nodes));
    }),
  );
  expect(rendezvous("x", [])).toBeNull();
});
