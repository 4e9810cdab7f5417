/**
 * Goal: what goes into a recording comes out of it, in bounded memory, and no damaged file is taken for a whole one.
 * Method: round trips through real files, files made by plain zstd, every truncation of a small file, bit flips over a
 * whole one.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Writable } from "node:stream";
import { constants, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { BlockScopedData, Response } from "@substreams/core/proto";
import { SluiceError } from "../errors.ts";
import { seededRandom } from "../world.ts";
import { varintSize, writeVarint } from "./framing.ts";
import { RecordingWriter, readRecording, readResponses } from "./recording.ts";
import { ZstdFrames } from "./zstd-frames.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "recording-"));
});
afterAll(() => rm(folder, { recursive: true }));

function noise(bytes: number, seed: number): Uint8Array {
  const random = seededRandom(seed);
  return Uint8Array.from({ length: bytes }, () => random() * 256);
}

function block(slot: number): Response {
  return new Response({
    message: {
      case: "blockScopedData",
      value: new BlockScopedData({ cursor: `cursor-${slot}`, finalBlockHeight: 1n }),
    },
  });
}

async function write(path: string, messages: Iterable<Uint8Array | Response>) {
  const writer = RecordingWriter.toFile(path);
  for (const message of messages) await writer.append(message);
  return writer.finish();
}

async function read(path: string): Promise<Uint8Array[]> {
  return Array.fromAsync(readRecording(path), (bytes) => bytes.slice());
}

/** The error of reading `path`, and how many messages came before it. */
async function failure(path: string): Promise<{ code: string; message: string; read: number }> {
  let count = 0;
  try {
    for await (const _ of readRecording(path)) count++;
  } catch (error) {
    if (error instanceof SluiceError) return { code: error.code, message: error.message, read: count };
    throw error;
  }
  return { code: "none", message: "", read: count };
}

function delimit(messages: readonly Uint8Array[]): Buffer {
  return Buffer.concat(
    messages.flatMap((message) => {
      const length = new Uint8Array(varintSize(message.length));
      writeVarint(message.length, length, 0);
      return [length, message];
    }),
  );
}

describe("recording", () => {
  test("gives back what was written, small and large, encoded or not", async () => {
    const path = join(folder, "round-trip.zst");
    const messages = [block(1).toBinary(), new Uint8Array(0), noise(3_000_000, 2), noise(256 * 1024, 3), noise(1, 4)];
    const totals = await write(path, messages);
    expect(totals).toEqual({ messages: 5, rawBytes: delimit(messages).length });
    const back = await read(path);
    expect(back.map((bytes) => Bun.hash(bytes))).toEqual(messages.map((bytes) => Bun.hash(bytes)));

    await write(path, [block(7), block(8)]);
    const responses = await Array.fromAsync(readResponses(path));
    expect(responses.map((r) => (r.message.case === "blockScopedData" ? r.message.value.cursor : ""))).toEqual([
      "cursor-7",
      "cursor-8",
    ]);
  });

  test("is nothing but zstd over delimited messages: plain zstd reads it, and what plain zstd writes is read", async () => {
    const path = join(folder, "plain.zst");
    const messages = [block(1).toBinary(), noise(1000, 5), block(2).toBinary()];
    await write(path, messages);
    expect(zstdDecompressSync(await readFile(path)).equals(delimit(messages))).toBe(true);

    const skippable = Uint8Array.of(0x53, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 9, 9, 9);
    const bytes = delimit(messages);
    const frames = [zstdCompressSync(bytes.subarray(0, 500)), skippable, zstdCompressSync(bytes.subarray(500))];
    await writeFile(path, Buffer.concat(frames));
    expect(await read(path)).toEqual(messages);
  });

  test("the same messages give the same bytes, to a file and to any destination", async () => {
    const messages = Array.from({ length: 50 }, (_, i) => noise(20_000 + i, i));
    await write(join(folder, "first.zst"), messages);
    const chunks: Uint8Array[] = [];
    const slow = new Writable({
      highWaterMark: 1,
      write(chunk: Uint8Array, _encoding: string, done: () => void) {
        chunks.push(Uint8Array.from(chunk));
        setImmediate(done);
      },
    });
    const writer = RecordingWriter.to(slow);
    const reused = new Uint8Array(30_000);
    for (const message of messages) {
      reused.set(message);
      await writer.append(reused.subarray(0, message.length));
    }
    await writer.finish();
    expect(Buffer.concat(chunks).equals(await readFile(join(folder, "first.zst")))).toBe(true);
  });

  test("appears under its name only when finished", async () => {
    const path = join(folder, "atomic.zst");
    await write(path, [block(1)]);
    const before = await readFile(path);
    const writer = RecordingWriter.toFile(path);
    for (let i = 0; i < 100; i++) await writer.append(noise(10_000, i));
    expect(await readFile(path)).toEqual(before);
    await writer.abort();
    expect(await readFile(path)).toEqual(before);
    expect(existsSync(`${path}.tmp`)).toBe(false);
  });

  test("says when it cannot write, at once or at the end", async () => {
    const missing = () => RecordingWriter.toFile(join(folder, "no", "such", "folder.zst"));
    const small = missing();
    await small.append(block(1));
    await expect(small.finish()).rejects.toMatchObject({ code: "RECORDING_WRITE", kind: "transient" });
    const large = missing();
    const appending = (async () => {
      for (let i = 0; i < 100; i++) await large.append(noise(100_000, i));
    })();
    await expect(appending).rejects.toMatchObject({ code: "RECORDING_WRITE" });
    await large.abort();
  });

  test("may be left in the middle", async () => {
    const path = join(folder, "left.zst");
    await write(
      path,
      Array.from({ length: 1000 }, (_, i) => block(i)),
    );
    for await (const _ of readRecording(path)) break;
    expect((await read(path)).length).toBe(1000);
  });
});

describe("damage", () => {
  test("a file cut at any byte is truncated, and says after which message", async () => {
    const path = join(folder, "cut.zst");
    const whole = join(folder, "whole.zst");
    await write(whole, [noise(300, 1), noise(300, 2), noise(300, 3)]);
    const bytes = await readFile(whole);
    for (let end = 0; end < bytes.length; end++) {
      await writeFile(path, bytes.subarray(0, end));
      const error = await failure(path);
      expect(error.code).toBe("RECORDING_TRUNCATED");
      expect(error.message).toContain(`after ${error.read} whole messages`);
    }
    await writeFile(path, zstdCompressSync(delimit([noise(300, 1)]).subarray(0, 200)));
    expect(await failure(path)).toMatchObject({ code: "RECORDING_TRUNCATED", read: 0 });
  });

  test("a flipped bit is never read as other messages", async () => {
    const path = join(folder, "flip.zst");
    const messages = [noise(100, 1), block(5).toBinary(), noise(100, 3)];
    await write(path, messages);
    const bytes = await readFile(path);
    for (let bit = 0; bit < bytes.length * 8; bit += 3) {
      const damaged = Buffer.from(bytes);
      damaged[bit >> 3]! ^= 1 << (bit & 7);
      await writeFile(path, damaged);
      const error = await failure(path);
      // Bits that zstd does not use (reserved, window size) may change without harm.
      if (error.code === "none") expect(await read(path)).toEqual(messages);
      else expect(["RECORDING_CORRUPT", "RECORDING_TRUNCATED"]).toContain(error.code);
    }
  });

  test("what is no recording, or not there, is named", async () => {
    const path = join(folder, "other.zst");
    await writeFile(path, "block,slot\n1,2\n");
    expect(await failure(path)).toMatchObject({ code: "RECORDING_CORRUPT", read: 0 });
    await writeFile(path, zstdCompressSync(new Uint8Array(40).fill(0xff)));
    expect(await failure(path)).toMatchObject({ code: "RECORDING_CORRUPT", read: 0 });
    expect(await failure(join(folder, "absent.zst"))).toMatchObject({ code: "RECORDING_MISSING" });
    expect(await failure(folder)).toMatchObject({ code: "RECORDING_MISSING" });

    await writeFile(path, zstdCompressSync(delimit([block(1).toBinary(), Uint8Array.of(0x1a, 0x05, 1)])));
    const reading = Array.fromAsync(readResponses(path));
    await expect(reading).rejects.toMatchObject({ code: "RECORDING_CORRUPT" });
    await reading.catch((error) => expect(error.message).toContain("after 1 whole messages"));
  });

  test("frames are followed through any chunk borders and all header forms", () => {
    const content = noise(200_000, 9);
    const unsized = { params: { [constants.ZSTD_c_checksumFlag]: 1, [constants.ZSTD_c_contentSizeFlag]: 0 } };
    const streamed = zstdCompressSync(content, unsized);
    for (const frame of [
      zstdCompressSync(content),
      streamed,
      zstdCompressSync(new Uint8Array(0)),
      zstdCompressSync("a"),
    ]) {
      for (const step of [1, 7, 1000, frame.length]) {
        const frames = new ZstdFrames();
        for (let at = 0; at < frame.length; at += step) {
          frames.push(frame.subarray(at, at + step));
          if (frames.complete !== at + step >= frame.length)
            throw new Error(`complete at ${at + step} of ${frame.length}`);
        }
        expect(frames.frames).toBe(1);
      }
    }
  });
});
