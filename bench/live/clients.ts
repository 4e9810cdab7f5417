/**
 * Clients of the live feed for `latency.ts`: mints on stdin; after SECONDS, for each client and block, the block's hash, when
 * its first trade came (ms since the Unix epoch), and how many trades came, as JSON on stdout.
 */
import { systemWorld } from "../../pipeline/world.ts";

const [url = "", count = "0"] = process.argv.slice(2);
const mints = JSON.parse(await Bun.stdin.text()) as string[];
const FIREHOSE_SHARE = 0.1;
const told: [hash: string, at: number, messages: number][] = [];
const now = () => performance.timeOrigin + performance.now();

for (let i = 0; i < Number(count); i++) {
  const topics = i < Number(count) * FIREHOSE_SHARE ? ["trades"] : [`trades:${mints[i % mints.length]}`];
  const socket = new WebSocket(`${url.replace("http", "ws")}/v1/live`);
  let current: (typeof told)[number] | null = null;
  socket.onopen = () => socket.send(JSON.stringify({ op: "subscribe", topics }));
  socket.onmessage = ({ data }) => {
    const text = String(data);
    if (!text.startsWith('{"type":"trade"')) return;
    const from = text.indexOf('"hash":"') + 8;
    const hash = text.slice(from, text.indexOf('"', from));
    if (current?.[0] === hash) current[2]++;
    else told.push((current = [hash, now(), 1]));
  };
}
await systemWorld.sleep(Number(process.env["SECONDS"] ?? "60") * 1000);
console.log(JSON.stringify(told));
process.exit(0);
