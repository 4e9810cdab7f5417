/**
 * Recordings: what a Substreams endpoint sent, kept in a file, to be served again by `serveReplay` or read by tests.
 *
 * FORMAT. A recording is the zstd compression (RFC 8878; one frame or several, any level) of
 *
 *     recording := { length message }
 *     length    := size of `message` in bytes, a protobuf varint
 *     message   := an encoded `sf.substreams.rpc.v2.Response`
 *
 * and nothing else: no header, no index, no trailer. The usual name ends in ".substreams.zst". Messages stand in the
 * order in which they were sent: data (`block_scoped_data`), undo signals, session and progress messages. `Response` is
 * the v2 one whatever protocol they came over; a v4 batch is recorded as one message per block. Any language with
 * protobuf and zstd can make one: `writeDelimitedTo` into a zstd stream. What a useful recording holds besides:
 *
 * - blocks ascend, except that an undo signal takes everything above its `last_valid_block` back, and other blocks follow;
 * - every block carries `clock {id, number, timestamp}`, a `cursor` that no other message of the recording has (opaque
 *   text) and `final_block_height`; `output {name, map_output}` names the module and, by `map_output.type_url`, its type;
 * - an undo signal's `last_valid_cursor` is the cursor of its `last_valid_block`;
 * - a first message with `session` may carry a trace id; a replay sends its own.
 */
import { createReadStream, createWriteStream } from "node:fs";
import { open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import type { Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { constants, createZstdCompress, createZstdDecompress, type ZstdCompress } from "node:zlib";
import { Response } from "@substreams/core/proto";
import { Fatal, Transient } from "../errors.ts";
import { MessageReader, VarintPrefix, varintSize, writeVarint } from "./framing.ts";
import { ZstdFrames } from "./zstd-frames.ts";

/** Raw bytes that are compressed at a time. Fixed, so that the same messages give the same file. */
const CHUNK_BYTES = 256 * 1024;
/** A longer message is taken for damage. Substreams endpoints send at most some 10 MB beyond one large block. */
const MESSAGE_BYTES_MAX = 512 * 1024 * 1024;
const COMPRESSION_LEVEL = 3;

export interface RecordingTotals {
  readonly messages: number;
  /** Before compression, lengths included. */
  readonly rawBytes: number;
}

/**
 * Writes a recording. Holds two chunks of 256 KiB and what zstd needs; `append` waits while both are full. The same
 * messages give the same bytes. A file appears under its name only when `finish` succeeds; until then its content is in
 * `<path>.tmp`, which `abort` removes. Errors of the disk are `Transient` with code RECORDING_WRITE.
 */
export class RecordingWriter {
  readonly #zstd: ZstdCompress;
  /** Settles when all compressed bytes are with the destination: undefined, or what went wrong. */
  readonly #written: Promise<unknown>;
  readonly #path: string | null;
  #chunk = new Uint8Array(CHUNK_BYTES);
  #spare = new Uint8Array(CHUNK_BYTES);
  #filled = 0;
  /** Settles when the chunk handed to zstd may be used again; it never rejects, `#failure` tells. */
  #compressed: Promise<void> = Promise.resolve();
  #failure: unknown;
  #messages = 0;
  #rawBytes = 0;

  private constructor(destination: Writable, path: string | null) {
    this.#path = path;
    this.#zstd = createZstdCompress({
      params: { [constants.ZSTD_c_compressionLevel]: COMPRESSION_LEVEL, [constants.ZSTD_c_checksumFlag]: 1 },
    });
    this.#written = pipeline(this.#zstd, destination).then(
      () => undefined,
      (error: unknown) => {
        this.#failure ??= error;
      },
    );
  }

  /** Writes to a file; an existing one stays until `finish` replaces it. */
  static toFile(path: string): RecordingWriter {
    return new RecordingWriter(createWriteStream(`${path}.tmp`), path);
  }

  /** Writes to any destination, which is ended by `finish` and destroyed by `abort`. */
  static to(destination: Writable): RecordingWriter {
    return new RecordingWriter(destination, null);
  }

  /** Adds a message, encoded or not. Encoded bytes are copied at once and may be changed when this returns. */
  async append(message: Uint8Array | Response): Promise<void> {
    const bytes = message instanceof Uint8Array ? message : message.toBinary();
    if (bytes.length > MESSAGE_BYTES_MAX) {
      throw new Fatal("RECORDING_MESSAGE_TOO_LARGE", `message ${this.#messages} has ${bytes.length} bytes`, {
        where: this.#where,
        hint: `Messages of a recording have at most ${MESSAGE_BYTES_MAX} bytes.`,
      });
    }
    const length = new Uint8Array(varintSize(bytes.length));
    writeVarint(bytes.length, length, 0);
    this.#messages++;
    this.#rawBytes += length.length + bytes.length;
    await this.#add(length);
    await this.#add(bytes);
  }

  /** Completes the recording; for a file: on disk, under its name. */
  async finish(): Promise<RecordingTotals> {
    await this.#flush();
    await this.#compressed;
    this.#zstd.end();
    await this.#written;
    this.#check();
    if (this.#path !== null) await publish(this.#path);
    return { messages: this.#messages, rawBytes: this.#rawBytes };
  }

  /** Drops everything. */
  async abort(): Promise<void> {
    this.#zstd.destroy();
    await this.#written;
    if (this.#path !== null) await rm(`${this.#path}.tmp`, { force: true });
  }

  get #where(): string {
    return this.#path ?? "recording";
  }

  async #add(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; ) {
      const take = Math.min(CHUNK_BYTES - this.#filled, bytes.length - at);
      this.#chunk.set(bytes.subarray(at, at + take), this.#filled);
      this.#filled += take;
      at += take;
      if (this.#filled === CHUNK_BYTES) await this.#flush();
    }
  }

  /** Hands the chunk to zstd, as soon as that is done with the one before. */
  async #flush(): Promise<void> {
    await this.#compressed;
    this.#check();
    if (this.#filled === 0) return;
    const full = this.#chunk.subarray(0, this.#filled);
    this.#compressed = new Promise((resolve) => {
      this.#zstd.write(full, (error) => {
        if (error) this.#failure ??= error;
        resolve();
      });
    });
    [this.#chunk, this.#spare] = [this.#spare, this.#chunk];
    this.#filled = 0;
  }

  #check(): void {
    if (this.#failure === undefined) return;
    throw new Transient("RECORDING_WRITE", "the recording cannot be written", {
      where: this.#where,
      hint: "Check that the folder exists, is writable and has room.",
      cause: this.#failure,
    });
  }
}

/** On disk first, then under its name, so that no crash leaves half a recording there. */
async function publish(path: string): Promise<void> {
  await sync(`${path}.tmp`);
  await rename(`${path}.tmp`, path);
  await sync(dirname(path));
}

async function sync(path: string): Promise<void> {
  const handle = await open(path, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/**
 * The encoded messages of a recording, in order. Reads as it is asked: memory is bounded by some chunks and one message.
 * A message may share its memory with its neighbours; copy what is to be kept for long. Throws `Fatal`:
 * RECORDING_MISSING when it cannot be opened; RECORDING_TRUNCATED when the file ends inside a message or a zstd frame; RECORDING_CORRUPT when
 * bytes are damaged or are no recording at all. The latter two say how many messages were read whole before.
 */
export async function* readRecording(path: string): AsyncGenerator<Uint8Array> {
  const messages = new MessageReader(new VarintPrefix(), MESSAGE_BYTES_MAX);
  const frames = new ZstdFrames();
  try {
    for await (const chunk of decompressed(path, frames)) yield* messages.push(chunk);
  } catch (error) {
    throw unreadable(path, messages.count, error);
  }
  if (messages.unfinished || !frames.complete || frames.frames === 0) {
    throw new Fatal("RECORDING_TRUNCATED", `the recording is cut short after ${messages.count} whole messages`, {
      where: path,
      hint: "Copy or record it again: it was not written to its end.",
    });
  }
}

/** The messages of a recording, decoded. Payload bytes are views of the encoded message. Throws like `readRecording`. */
export async function* readResponses(path: string): AsyncGenerator<Response> {
  let count = 0;
  for await (const bytes of readRecording(path)) yield decodeResponse(bytes, path, count++);
}

/** One message of a recording. `before`: whole messages before it, for the error: `Fatal` RECORDING_CORRUPT. */
export function decodeResponse(bytes: Uint8Array, path: string, before: number): Response {
  try {
    return Response.fromBinary(bytes);
  } catch (error) {
    throw unreadable(path, before, error);
  }
}

async function* decompressed(path: string, frames: ZstdFrames): AsyncGenerator<Uint8Array> {
  const source = createReadStream(path, { highWaterMark: CHUNK_BYTES });
  const zstd = createZstdDecompress({ chunkSize: CHUNK_BYTES });
  source.on("data", (chunk) => frames.push(chunk as Uint8Array));
  source.on("error", (error) => zstd.destroy(error));
  source.pipe(zstd);
  try {
    for await (const chunk of zstd) yield chunk as Uint8Array;
  } finally {
    source.destroy();
    zstd.destroy();
  }
}

function unreadable(path: string, messages: number, error: unknown): Fatal {
  const reason = error instanceof Error ? error.message : String(error);
  if (error instanceof Error && "syscall" in error) {
    return new Fatal("RECORDING_MISSING", `the recording cannot be opened: ${reason}`, {
      where: path,
      hint: "Check the path and that the file may be read.",
      cause: error,
    });
  }
  return new Fatal("RECORDING_CORRUPT", `the recording is damaged after ${messages} whole messages: ${reason}`, {
    where: path,
    hint: 'A recording is a zstd file of length-delimited "sf.substreams.rpc.v2.Response" messages; copy or record it again.',
    cause: error,
  });
}
