/**
 * Runs the clients against a server and reports frames delivered for each second of the server's own CPU time: what else
 * the machine does, the clients among it, does not count. The next block is sent when nothing waits for any client.
 */
import { join } from "node:path";
import { report } from "../harness.ts";
import { BLOCKS, CLIENTS, TRADES_PER_BLOCK } from "./blocks.ts";

export interface Measured {
  readonly port: number;
  readonly path?: string;
  /** Sends everything; `subscribed` has resolved. */
  send(): Promise<void>;
}

export async function measure({ port, path = "/", send }: Measured): Promise<never> {
  const command = [process.execPath, join(import.meta.dir, "readers.ts"), String(port), path];
  const unpinned = Bun.which("taskset") === null ? [] : ["taskset", "-c", "1"];
  const readers = Bun.spawn([...unpinned, ...command], { stdout: "pipe", stderr: "inherit" });
  const lines = linesOf(readers.stdout);
  await lines.next();
  // Subscriptions are under way.
  await Bun.sleep(300);
  const before = process.cpuUsage();
  await send();
  const digest = (await lines.next()).value!;
  const { user, system } = process.cpuUsage(before);
  report((CLIENTS * BLOCKS * TRADES_PER_BLOCK * 1e6) / (user + system), digest);
  process.exit(0);
}

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  let rest = "";
  for await (const piece of stream) {
    const lines = (rest + Buffer.from(piece).toString()).split("\n");
    rest = lines.pop()!;
    yield* lines;
  }
}
