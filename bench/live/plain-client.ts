/** WebSocket clients on plain TCP, which cost as little as clients can: what is measured is the server. */
import { connect, type Socket } from "node:net";

const TEXT = 1;
const PING = 9;
const PONG = 10;
const NOTHING = Buffer.alloc(0);

/** Told the bytes of a text message: valid until it returns. */
export type OnText = (bytes: Buffer, start: number, end: number) => void;

export function upgradeOf(port: string, path: string): string {
  const upgrade =
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
  return `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n${upgrade}\r\n\r\n`;
}

export function subscriptionOf(topics: readonly string[]): Buffer {
  return frameOf(TEXT, Buffer.from(JSON.stringify({ op: "subscribe", topics })));
}

/** Connects, subscribes to topics of the live feed, and hands on each text message. */
export function follow(port: string, path: string, topics: readonly string[], onText: OnText): void {
  const socket = connect(Number(port), "127.0.0.1");
  socket.write(upgradeOf(port, path));
  let rest: Buffer = NOTHING;
  let isOpen = false;
  socket.on("data", (piece: Buffer) => {
    let bytes = rest.length === 0 ? piece : Buffer.concat([rest, piece]);
    if (!isOpen) {
      const end = bytes.indexOf("\r\n\r\n");
      if (end >= 0) {
        isOpen = true;
        bytes = bytes.subarray(end + 4);
        socket.write(subscriptionOf(topics));
      }
    }
    const used = isOpen ? walk(socket, bytes, onText) : 0;
    // A copy: the socket's memory is used again.
    rest = used === bytes.length ? NOTHING : Buffer.from(bytes.subarray(used));
  });
}

/** Goes through whole frames (RFC 6455, 5.2; a server's are not masked) and returns how many bytes they are. */
function walk(socket: Socket, bytes: Buffer, onText: OnText): number {
  let at = 0;
  while (at + 2 <= bytes.length) {
    const short = bytes[at + 1]! & 0x7f;
    const head = short === 127 ? 10 : short === 126 ? 4 : 2;
    if (at + head > bytes.length) break;
    const size =
      short === 127 ? Number(bytes.readBigUInt64BE(at + 2)) : short === 126 ? bytes.readUInt16BE(at + 2) : short;
    const [start, end] = [at + head, at + head + size];
    if (end > bytes.length) break;
    const kind = bytes[at]! & 0x0f;
    if (kind === TEXT) onText(bytes, start, end);
    else if (kind === PING) socket.write(frameOf(PONG, bytes.subarray(start, end)));
    at = end;
  }
  return at;
}

/** A client's frames are masked; with zeros here. Below 126 bytes, or below 64 KiB. */
function frameOf(kind: number, payload: Buffer): Buffer {
  const { length } = payload;
  const size = length < 126 ? [0x80 | length] : [0x80 | 126, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([0x80 | kind, ...size, 0, 0, 0, 0]), payload]);
}
