/**
 * Twenty kills with SIGKILL, of stage processes and of the nats-server, while a chain with forks is indexed. Goal:
 * afterwards hot stores and lake hold exactly the truth, nothing lost, nothing twice. `bun run chaos --kills N` for more.
 */
import { expect, test } from "bun:test";
import { runChaos } from "./chaos.ts";

test("twenty kills leave no trace", async () => {
  const said: string[] = [];
  const result = await runChaos({ seed: 7, kills: 20, lanes: 2, say: (text) => said.push(text) });
  expect(result.differences).toEqual([]);
  // The kills did happen, and hit everyone.
  expect(Object.values(result.killed).reduce((sum, n) => sum + n, 0)).toBe(20);
  for (const kills of Object.values(result.killed)) expect(kills).toBeGreaterThan(0);
}, 600_000);
