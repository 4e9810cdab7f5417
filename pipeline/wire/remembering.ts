/**
 * A codec that remembers what it has made messages of last, for a reader in the same process: whoever gets back the very bytes
 * that were published need not unpack them again. They have gone through JetStream all the same, and a message whose bytes
 * are others, or which was forgotten, is decoded as ever: nothing depends on what is remembered here.
 */
import type { BodyCodec, Message } from "./message.ts";

interface Remembered<Body> {
  readonly message: Message;
  readonly body: Body;
  readonly bytes: number;
}

/**
 * `codec` with a memory of at most `bytesMax`, encoded and decoded bytes together. The oldest is forgotten first, and what was read is
 * forgotten with that: of several readers one finds it. Where nobody ever reads, nothing is kept.
 */
export function remembering<Body>(codec: BodyCodec<Body>, bytesMax: number): BodyCodec<Body> {
  /** By checksum, oldest first. */
  const known = new Map<number, Remembered<Body>>();
  let bytes = 0;
  let isRead = false;
  const forget = (crc32: number) => {
    bytes -= known.get(crc32)?.bytes ?? 0;
    known.delete(crc32);
  };
  return {
    ...codec,
    encoded(body, message) {
      if (!isRead) return;
      const { crc32, sections } = message.header;
      const size = sections.reduce((sum, section) => sum + section.bytes, message.body.length);
      forget(crc32);
      for (const oldest of known.keys()) {
        if (bytes + size <= bytesMax) break;
        forget(oldest);
      }
      if (bytes + size > bytesMax) return;
      known.set(crc32, { message, body, bytes: size });
      bytes += size;
    },
    decode(message) {
      isRead = true;
      const { crc32 } = message.header;
      const found = known.get(crc32);
      if (found === undefined || !saysTheSame(found.message, message)) return codec.decode(message);
      forget(crc32);
      return found.body;
    },
  };
}

/** All that a body is decoded from: the rest of the header is the chain's. */
function saysTheSame(a: Message, b: Message): boolean {
  return a.header.type === b.header.type && Buffer.compare(a.body, b.body) === 0;
}
