/**
 * The clients of a contender, in a process of their own: plain TCP, so that they cost as little as clients can. Says
 * "ready" when all are connected, and the digest of what the first one was told when all have the last message.
 */
import { createHash } from "node:crypto";
import { connect } from "node:net";
import { CLIENTS, LAST } from "./blocks.ts";
import { subscriptionOf, upgradeOf } from "./plain-client.ts";

const [port = "0", path = "/"] = process.argv.slice(2);
const TAIL = 4_096;
let connected = 0;
let ended = 0;
let first = Buffer.alloc(0);

for (let i = 0; i < CLIENTS; i++) {
  const socket = connect(Number(port), "127.0.0.1");
  socket.write(upgradeOf(port, path));
  let tail = "";
  let isOpen = false;
  const pieces: Buffer[] = [];
  socket.on("data", (piece: Buffer) => {
    if (i === 0) pieces.push(Buffer.from(piece));
    if (!isOpen) {
      isOpen = true;
      socket.write(subscriptionOf(["trades"]));
      if (++connected === CLIENTS) console.log("ready");
    }
    tail = (tail + piece.subarray(Math.max(0, piece.length - TAIL)).toString("latin1")).slice(-TAIL);
    if (!tail.includes(LAST)) return;
    socket.removeAllListeners("data");
    if (i === 0) first = Buffer.concat(pieces);
    if (++ended < CLIENTS) return;
    console.log(digestOf(first));
    process.exit(0);
  });
}

/** Of the trades that a client was told, in order. */
function digestOf(bytes: Buffer): string {
  const hash = createHash("sha256");
  let at = bytes.indexOf("\r\n\r\n") + 4;
  while (at + 2 <= bytes.length) {
    const short = bytes[at + 1]! & 0x7f;
    const [size, skip] = short === 126 ? [bytes.readUInt16BE(at + 2), 4] : [short, 2];
    const text = bytes.toString("utf8", at + skip, at + skip + size);
    if (text.startsWith('{"type":"trade"')) hash.update(text);
    at += skip + size;
  }
  return hash.digest("hex");
}
