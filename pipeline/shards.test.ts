/** Shards and lane owners. Goal: known mints keep their shard for ever; a node that leaves moves only its own keys. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { evenShares, laneOf, rendezvous, SHARDS, shardOf } from "./shards.ts";

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

test("shares are even, whoever is there; those who cannot take a key are not given it", () => {
  const nodes = fc.uniqueArray(fc.string({ minLength: 1 }), { minLength: 1, maxLength: 6 });
  fc.assert(
    fc.property(nodes, fc.integer({ min: 1, max: 64 }), (nodes, lanes) => {
      const keys = Array.from({ length: lanes }, (_, i) => `lane.${i}`);
      const owners = evenShares(keys, () => nodes);
      const counts = nodes.map((node) => [...owners.values()].filter((owner) => owner === node).length);
      expect(Math.max(...counts)).toBe(Math.ceil(lanes / nodes.length));
      expect(counts.reduce((a, b) => a + b)).toBe(lanes);
      expect(evenShares(keys.toReversed(), () => nodes.toReversed())).toEqual(owners);
    }),
  );
  const able = (key: string) => (key === "b" ? [] : ["one", "two"]);
  expect(evenShares(["a", "b", "c"], able).get("b")).toBeNull();
  const rest = evenShares(["a", "b", "c"], (key) => (key === "a" ? ["one", "two"] : ["one"]));
  expect([rest.get("b"), rest.get("c")]).toEqual(["one", "one"]);
});

test("one who leaves or joins moves few", () => {
  const keys = Array.from({ length: 64 }, (_, i) => `lane.${i}`);
  const four = evenShares(keys, () => ["a", "b", "c", "d"]);
  const three = evenShares(keys, () => ["a", "b", "d"]);
  const moved = keys.filter((key) => four.get(key) !== "c" && four.get(key) !== three.get(key));
  expect(moved.length).toBeLessThan(16);
});
