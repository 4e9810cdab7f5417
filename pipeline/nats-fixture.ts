/** A real nats-server for a test file, in a folder of its own; and what is needed to put something into it. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Broker } from "./broker.ts";
import { type EmbeddedNats, ensureEmbeddedNats, releaseEmbeddedNats } from "./embedded-nats.ts";
import type { BlockRef, Position } from "./position.ts";
import type { BatchHeader, Message } from "./wire/message.ts";
import { systemWorld } from "./world.ts";

export interface NatsFixture {
  readonly folder: string;
  /** The server as it runs now. */
  server(): EmbeddedNats;
  /** Another client; closed with the fixture. */
  connect(): Promise<Broker>;
  /** Ends the server with SIGKILL. */
  kill(): void;
  /** Starts it again, on its port. */
  restart(): Promise<void>;
  dispose(): Promise<void>;
}

export async function startNats(): Promise<NatsFixture> {
  const folder = await mkdtemp(join(tmpdir(), "sluice-nats-"));
  let server = await ensureEmbeddedNats(folder, systemWorld);
  const brokers: Broker[] = [];
  return {
    folder,
    server: () => server,
    async connect() {
      const broker = await Broker.connect({ url: server.url, token: server.token, name: "test" });
      brokers.push(broker);
      return broker;
    },
    kill: () => void process.kill(server.pid, "SIGKILL"),
    async restart() {
      server = await ensureEmbeddedNats(folder, systemWorld);
    },
    async dispose() {
      for (const broker of brokers) await broker.close();
      await releaseEmbeddedNats(folder, systemWorld);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

export function positionOf(slot: number, fork = ""): Position {
  return { ...blockOf(slot, fork), cursor: `cursor ${slot}${fork}`, moduleHash: "module" };
}

export function blockOf(slot: number, fork = ""): BlockRef {
  return { slot, hash: `${slot}${fork}` };
}

/** A message whose body nobody decodes. */
export function messageOf(subject: string, slot: number, body: Uint8Array): Message & { subject: string } {
  const header: BatchHeader = {
    v: 1,
    kind: "data",
    prev: slot === 1 ? null : positionOf(slot - 1),
    next: positionOf(slot),
    final: 0,
    input: slot,
    blocks: [[slot, `${slot}`]],
    time: 0,
    sections: [],
    crc32: 0,
  };
  return { subject, header, body };
}

/** Bytes that do not compress and do not repeat. */
export function noise(size: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(size);
  let state = seed * 2_654_435_761 + 1;
  for (let i = 0; i < size; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    bytes[i] = state >>> 24;
  }
  return bytes;
}
