/**
 * Clients of the live feed for `latency.ts`: mints on stdin; after SECONDS, for each client and block, the block's hash, when
 * its first trade came (ms since the Unix epoch), and how many trades came, as JSON on stdout.
 */
import { systemWorld } from "../../pipeline/world.ts";
import { follow } from "./plain-client.ts";

const [url = "", count = "0"] = process.argv.slice(2);
const mints = JSON.parse(await Bun.stdin.text()) as string[];
const FIREHOSE_SHARE = 0.1;
const TRADE = Buffer.from('{"type":"trade"');
const HASH = '"hash":"';
const told: [hash: string, at: number, messages: number][] = [];
const now = () => performance.timeOrigin + performance.now();
const { port } = new URL(url);

for (let i = 0; i < Number(count); i++) {
  const topics = i < Number(count) * FIREHOSE_SHARE ? ["trades"] : [`trades:${mints[i % mints.length]}`];
  let current: (typeof told)[number] | null = null;
  /** How messages of the current block begin, its hash included. */
  let beginning = Buffer.alloc(0);
  follow(port, "/v1/live", topics, (bytes, start, end) => {
    const begins = (text: Buffer) => text.compare(bytes, start, Math.min(end, start + text.length)) === 0;
    if (current !== null && begins(beginning)) {
      current[2]++;
      return;
    }
    if (!begins(TRADE)) return;
    const from = bytes.indexOf(HASH, start) + HASH.length;
    const to = bytes.indexOf('"', from);
    beginning = Buffer.from(bytes.subarray(start, to + 1));
    told.push((current = [bytes.toString("latin1", from, to), now(), 1]));
  });
}
await systemWorld.sleep(Number(process.env["SECONDS"] ?? "60") * 1000);
console.log(JSON.stringify(told));
process.exit(0);
