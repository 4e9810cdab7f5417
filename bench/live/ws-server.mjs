/** The server of `ws.ts`, for Node: sends the blocks of a file to all clients and reports as `measure.ts` does. */
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { WebSocketServer } from "ws";

const [file, ...readers] = process.argv.slice(2);
const blocks = JSON.parse(readFileSync(file, "utf8"));
const server = new WebSocketServer({ host: "127.0.0.1", port: 0, perMessageDeflate: false });
server.on("connection", (socket) => socket.send("{}"));
await new Promise((resolve) => server.on("listening", resolve));
const child = spawn("taskset", ["-c", "1", ...readers, String(server.address().port), "/"], { stdio: ["ignore", "pipe", "inherit"] });
const lines = [];
let wake = () => undefined;
child.stdout.on("data", (piece) => {
  lines.push(...String(piece).split("\n").filter((line) => line !== ""));
  wake();
});
const line = async () => {
  while (lines.length === 0) await new Promise((resolve) => { wake = resolve; });
  return lines.shift();
};
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
await line();
await sleep(300);
const before = process.cpuUsage();
let frames = 0;
for (const texts of blocks) {
  while ([...server.clients].some((client) => client.bufferedAmount > 0)) await sleep(1);
  for (const client of server.clients) for (const text of texts) client.send(text);
  frames += texts.length * server.clients.size;
}
const digest = await line();
const { user, system } = process.cpuUsage(before);
const value = (frames * 1e6) / (user + system);
console.log(JSON.stringify({ value, digest, peakRssMb: process.memoryUsage().rss / 1024 / 1024 }));
process.exit(0);
