/**
 * Goal: however often and wherever a stream breaks, what the source yields adds up to the recorded chain: no block is
 * missing, none comes twice without an undo between. Method: seeded recordings with forks, replayed by a server that
 * breaks the line at random messages in every way it can.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Response } from "@substreams/core/proto";
import { seededRandom } from "../world.ts";
import { frameOf, type ServerCall } from "./grpc-server.ts";
import { GrpcCode } from "./grpc-status.ts";
import type { FaultHook } from "./playback.ts";
import { PROTOCOLS } from "./rpc.ts";
import type { BlockSignal } from "./source.ts";
import { dataMessage, openTestSource, record, replay, undoMessage } from "./testing.ts";
import { instant } from "./testing-client.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "resume-"));
});
afterAll(() => rm(folder, { recursive: true }));

describe("a line that breaks", () => {
  /** Thirty blocks with forks of one to three blocks, some undone twice. */
  function forked(random: () => number): Response[] {
    const out: Response[] = [];
    for (let slot = 1; slot <= 30; slot++) {
      if (slot > 3 && random() < 0.3) {
        const depth = Math.floor(random() * 3) + 1;
        for (let i = 0; i < depth; i++)
          out.push(dataMessage({ slot: slot + i, fork: `f${out.length}`, finalSlot: Math.max(0, slot - 3) }));
        out.push(undoMessage(slot - 1));
      }
      if (random() < 0.8 || slot === 30) out.push(dataMessage({ slot, finalSlot: Math.max(0, slot - 3) }));
      else out.push(dataMessage({ slot, payload: new Uint8Array(0), finalSlot: Math.max(0, slot - 3) }));
    }
    return out;
  }

  /** What is left after all undos; a block that does not follow is an error. */
  function chainOf(signals: readonly BlockSignal[]): string[] {
    const chain: { slot: number; hash: string }[] = [];
    for (const signal of signals) {
      if (signal.kind === "undo") while ((chain.at(-1)?.slot ?? 0) > signal.to.slot) chain.pop();
      if (signal.kind !== "block") continue;
      expect(signal.block.slot).toBeGreaterThan(chain.at(-1)?.slot ?? 0);
      chain.push(signal.block);
    }
    return chain.map((block) => block.hash);
  }

  const breaks: readonly ((call: ServerCall) => void | Promise<void>)[] = [
    (call) => call.disconnect(),
    (call) => call.reset(),
    (call) => call.goAway(2),
    (call) => call.finish({ code: GrpcCode.unavailable, message: "shutting down" }),
    (call) => call.finish(),
    async (call) => {
      await call.sendRaw(Uint8Array.of(0, 0, 0, 99));
      call.disconnect();
    },
    async (call) => {
      await call.send(frameOf(Uint8Array.of(0x1a, 0xff)));
      call.finish();
    },
  ];

  test.each(Array.from({ length: 25 }, (_, seed) => [seed]))(
    "seed %i: the chain that results is the recorded one",
    async (seed) => {
      const random = seededRandom(seed);
      const path = join(folder, `breaks-${seed}.zst`);
      await record(path, forked(random));
      let broken = 0;
      // A call that is broken may go on for some messages before it is noticed.
      const calls = new Set<number>();
      const faults: FaultHook = async ({ kind, call: number }, call) => {
        if (kind === "session" || broken === 40 || random() >= 0.3) return true;
        broken++;
        calls.add(number);
        await breaks[Math.floor(random() * breaks.length)]!(call);
        return false;
      };
      const protocol = PROTOCOLS[seed % 3]!;
      // Small paces make many messages of v4 as well; without a stop block an early end is just another break.
      const endpoint = await replay(path, { faults, blocksPerSecond: 2_000 });
      const { source } = openTestSource(endpoint.port, { protocol, world: instant(0).world });
      const stop = new AbortController();
      const signals: BlockSignal[] = [];
      for await (const signal of source.blocks(null, stop.signal)) {
        signals.push(signal);
        if (signal.kind === "block" && signal.block.hash === "hash30") break;
      }
      expect(chainOf(signals)).toEqual(Array.from({ length: 30 }, (_, i) => `hash${i + 1}`));
      expect(source.status.attempts).toBeGreaterThanOrEqual(calls.size);
      await endpoint.close();
    },
  );
});
