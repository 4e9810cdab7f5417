/**
 * The message format: what a batch looks like in JetStream, readable from any language with a standard library.
 *
 * - header `Sluice-Batch`: JSON, see `BatchHeader`; names the sections of the body in order.
 * - body: empty for `undo` and `end` (an undo on LIVE carries state, see `live-message.ts`); else one zstd frame over the sections, back to back. Each section is an Arrow IPC
 *   stream padded with zeros to a multiple of 8 bytes. The first is always `blocks`.
 * - `crc32` covers the compressed body, so a flipped bit is noticed before anything is decoded.
 *
 * A body over the message limit travels in chunks (`broker.ts`); this file knows whole messages only.
 */
import { BLOCKS } from "../datasets/blocks.ts";
import { Fatal, Poison } from "../errors.ts";
import { LIMITS } from "../limits.ts";
import type { BlockMeta, Position } from "../position.ts";
import { type ArrowStream, decodeArrow, encodeArrow } from "./arrow.ts";
import type { BlockBatch, DatasetCatalog, RowBatch, Signal } from "./batch.ts";
import { blockMetas, blocksSection, blocksTable } from "./blocks-section.ts";
import { Scratch } from "./scratch.ts";
import type { Table } from "./table.ts";

export const WIRE_VERSION = 1;

export interface BatchHeader {
  readonly v: number;
  readonly kind: "data" | "undo" | "end";
  readonly prev: Position | null;
  readonly next: Position;
  readonly final: number;
  /** Sequence of the input message this batch was made from; a hint for seeking. */
  readonly input: number;
  /** [slot, hash] of each block, oldest first; empty for undo and end. The chain can be read from headers alone. */
  readonly blocks: readonly (readonly [number, string])[];
  /** Block time of the last block, Unix seconds; 0 without blocks. */
  readonly time: number;
  /** Type of the payloads; only on BLOCKS streams. */
  readonly type?: string;
  readonly sections: readonly {
    readonly name: string;
    readonly version: number;
    readonly rows: number;
    readonly bytes: number;
  }[];
  /** CRC-32 (IEEE) of the body, as an unsigned integer. */
  readonly crc32: number;
}

export interface Message {
  readonly header: BatchHeader;
  readonly body: Uint8Array;
}

/** How one kind of body becomes sections and back. */
export interface BodyCodec<Body> {
  encode(body: Body): { sections: Table[]; type?: string };
  decode(message: Message): Body;
  blocks(body: Body): readonly BlockMeta[];
  /** The part of the body above a slot: what is left when the rest was applied before. */
  above(body: Body, slot: number): Body;
  /** The same blocks with nothing in them: what goes on when the content is quarantined. */
  empty(body: Body): Body;
  /** The message that already says what `body` says, if there is one. */
  wire?(body: Body): Message | undefined;
  /** Told what `body` has become. */
  encoded?(body: Body, message: Message): void;
}

const EMPTY = new Uint8Array(0);

export function encodeMessage<Body>(signal: Signal<Body>, codec: BodyCodec<Body>, inputSeq: number): Message {
  const chain = {
    v: WIRE_VERSION,
    kind: signal.kind,
    prev: signal.prev,
    next: signal.next,
    final: signal.finalSlot,
    input: inputSeq,
  };
  if (signal.kind !== "data") {
    return { header: { ...chain, blocks: [], time: 0, sections: [], crc32: 0 }, body: EMPTY };
  }
  const known = codec.wire?.(signal.body);
  if (known !== undefined) return { header: { ...known.header, ...chain }, body: known.body };
  const { sections: tables, type } = codec.encode(signal.body);
  const { body, sections, crc32 } = encodeSections(tables);
  const blocks = codec.blocks(signal.body);
  const header: BatchHeader = {
    ...chain,
    blocks: blocks.map((b) => [b.slot, b.hash] as const),
    time: blocks.at(-1)?.time ?? 0,
    ...(type === undefined ? {} : { type }),
    sections,
    crc32,
  };
  codec.encoded?.(signal.body, { header, body });
  return { header, body };
}

/** A body, and what its header says of it. Throws `Fatal` BATCH_TOO_LARGE when nobody would read it. */
export function encodeSections(
  tables: readonly Table[],
): Pick<BatchHeader, "sections" | "crc32"> & Pick<Message, "body"> {
  const streams = tables.map(encodeArrow);
  const sections = tables.map((table, i) => ({
    name: table.spec.name,
    version: table.spec.version,
    rows: table.length,
    bytes: streams[i]!.bytes,
  }));
  const bytes = sizeOf(sections);
  if (bytes > LIMITS.batchRawBytesMax) {
    throw new Fatal("BATCH_TOO_LARGE", `a batch of ${bytes} bytes is over the limit of ${LIMITS.batchRawBytesMax}`, {
      hint: "Lower batch.maxBlocks and batch.maxBytes, or filter the module's output more.",
    });
  }
  const body = Bun.zstdCompressSync(concatPadded(streams), { level: LIMITS.zstdLevel });
  return { body, sections, crc32: Bun.hash.crc32(body) };
}

/** Throws `Poison` when the message is not what its header says; a row batch's sections are read when they are asked for. */
export function decodeMessage<Body>(message: Message, codec: BodyCodec<Body>): Signal<Body> {
  const { header } = message;
  const chain = { prev: header.prev, next: header.next, finalSlot: header.final };
  if (header.kind !== "data") return { kind: header.kind, ...chain };
  mustMatchChecksum(message);
  return { kind: "data", ...chain, body: codec.decode(message) };
}

/** The tables of a body, by dataset; those of `blocks` as well. Throws `Poison` when it is damaged. */
export function decodeSections(message: Message, catalog: DatasetCatalog): Map<string, Table> {
  mustMatchChecksum(message);
  return readSections(message, catalog);
}

function mustMatchChecksum({ header, body }: Message): void {
  if (Bun.hash.crc32(body) === header.crc32) return;
  throw new Poison(
    "WIRE_CHECKSUM",
    `the body of the batch ending at slot ${header.next.slot} does not match its checksum`,
  );
}

function readSections({ header, body }: Message, catalog: DatasetCatalog): Map<string, Table> {
  const raw = decompress(body, header);
  const sections = new Map<string, Table>();
  let at = 0;
  for (const section of header.sections) {
    const spec = section.name === BLOCKS.name ? BLOCKS : catalog.get(section.name);
    if (spec === undefined) {
      throw new Poison("WIRE_DATASET", `the batch carries rows of the unknown dataset "${section.name}"`, {
        hint: "Another version of Sluice, or one with other programs configured, wrote this stream.",
      });
    }
    const table = decodeArrow(raw.subarray(at, at + section.bytes), spec);
    if (table.length !== section.rows) {
      throw new Poison(
        "WIRE_ROWS",
        `section ${section.name} has ${table.length} rows, its header says ${section.rows}`,
      );
    }
    sections.set(section.name, table);
    at += padded(section.bytes);
  }
  return sections;
}

/** Parses the JSON header of a message. Throws `Poison` when it is missing, of another format version, or not whole. */
export function parseHeader(text: string | undefined): BatchHeader {
  if (text === undefined || text === "") throw new Poison("WIRE_HEADER", "the message has no Sluice-Batch header");
  let header: unknown;
  try {
    header = JSON.parse(text);
  } catch (cause) {
    throw new Poison("WIRE_HEADER", "the Sluice-Batch header is not JSON", { cause });
  }
  const version = (header as { v?: unknown } | null)?.v;
  if (version !== WIRE_VERSION) {
    throw new Poison("WIRE_VERSION", `the message has format version ${version}, this program reads ${WIRE_VERSION}`);
  }
  if (!isHeader(header as Unsure<BatchHeader>)) {
    throw new Poison("WIRE_HEADER", "the Sluice-Batch header lacks a part, or one is not what it should be");
  }
  return header as BatchHeader;
}

type Unsure<Of> = { readonly [Key in keyof Of]?: unknown };

/** Everything that readers go by: what is missing here would otherwise stop them as a defect of the program would. */
function isHeader(header: Unsure<BatchHeader>): boolean {
  const { kind, prev, next, final, input, blocks, time, sections, crc32 } = header;
  if (kind !== "data" && kind !== "undo" && kind !== "end") return false;
  if (!isPosition(next) || (prev !== null && !isPosition(prev))) return false;
  if (![final, input, crc32].every(isCount) || !Number.isSafeInteger(time)) return false;
  if (!Array.isArray(blocks) || !Array.isArray(sections)) return false;
  return blocks.every(isBlock) && sections.every(isSection);
}

function isPosition(value: unknown): boolean {
  const { slot, hash, cursor, moduleHash } = (value ?? {}) as Unsure<Position>;
  return isCount(slot) && [hash, cursor, moduleHash].every((text) => typeof text === "string");
}

function isBlock(value: unknown): boolean {
  return Array.isArray(value) && isCount(value[0]) && typeof value[1] === "string";
}

function isSection(value: unknown): boolean {
  const { name, version, rows, bytes } = (value ?? {}) as Unsure<BatchHeader["sections"][number]>;
  return typeof name === "string" && [version, rows, bytes].every(isCount);
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function decompress(body: Uint8Array, header: BatchHeader): Uint8Array {
  const expected = sizeOf(header.sections);
  if (expected > LIMITS.batchRawBytesMax) {
    throw new Poison("WIRE_SIZE", `a batch of ${expected} bytes is over the limit of ${LIMITS.batchRawBytesMax}`);
  }
  // Looked at first: a few bytes can stand for more than fits into memory.
  const announced = contentSize(body);
  if (announced !== null && announced !== expected) throw wrongSize(announced, expected);
  let raw: Uint8Array;
  try {
    raw = Bun.zstdDecompressSync(body as Uint8Array<ArrayBuffer>);
  } catch (cause) {
    throw new Poison("WIRE_ZSTD", "the body is not a zstd frame", { cause });
  }
  if (raw.length !== expected) throw wrongSize(raw.length, expected);
  return raw;
}

function wrongSize(found: number, expected: number): Poison {
  return new Poison("WIRE_SIZE", `the body holds ${found} bytes, its header says ${expected}`);
}

/** What a zstd frame says of the size of its content (RFC 8878, 3.1.1.1); null when it does not, or is none. */
function contentSize(frame: Uint8Array): number | null {
  if (frame.length < 18) return null;
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  const descriptor = frame[4]!;
  const singleSegment = (descriptor & 0x20) !== 0;
  const at = 5 + (singleSegment ? 0 : 1) + [0, 1, 2, 4][descriptor & 3]!;
  switch (descriptor >> 6) {
    case 0:
      return singleSegment ? frame[at]! : null;
    case 1:
      return view.getUint16(at, true) + 256;
    case 2:
      return view.getUint32(at, true);
    default:
      return Number(view.getBigUint64(at, true));
  }
}

function sizeOf(sections: BatchHeader["sections"]): number {
  return sections.reduce((sum, { bytes }) => sum + padded(bytes), 0);
}

function padded(bytes: number): number {
  return Math.ceil(bytes / 8) * 8;
}

/** Where sections are put together before they are compressed. */
const scratch = new Scratch();

/** The result is used up before the next call. */
function concatPadded(streams: readonly ArrowStream[]): Uint8Array<ArrayBuffer> {
  const out = scratch.take(streams.reduce((sum, stream) => sum + padded(stream.bytes), 0));
  let end = 0;
  for (const stream of streams) {
    let at = end;
    for (const part of stream.parts) {
      out.set(part, at);
      at += part.length;
    }
    end += padded(stream.bytes);
    out.fill(0, at, end);
  }
  return out;
}

const NO_DATASETS: DatasetCatalog = new Map();

export const blockCodec: BodyCodec<BlockBatch> = {
  encode: (body) => ({ sections: [blocksTable(body.blocks, body.payloads)], type: body.typeName }),
  decode(message) {
    const table = blocksSection(readSections(message, NO_DATASETS));
    const payload = table.column("payload");
    const payloads: Uint8Array[] = [];
    for (let i = 0; i < table.length; i++) payloads.push(payload.bytes(i));
    return { blocks: blockMetas(table), payloads, typeName: message.header.type ?? "" };
  },
  blocks: (body) => body.blocks,
  above(body, slot) {
    const first = body.blocks.findIndex((b) => b.slot > slot);
    const from = first < 0 ? body.blocks.length : first;
    return { typeName: body.typeName, blocks: body.blocks.slice(from), payloads: body.payloads.slice(from) };
  },
  empty: (body) => ({ ...body, payloads: body.payloads.map(() => EMPTY) }),
};

export function rowCodec(datasets: DatasetCatalog): BodyCodec<RowBatch> {
  return {
    encode: (body) => ({ sections: [blocksTable(body.blocks, null), ...body.tables.values()] }),
    decode: (message) => new ReceivedRows(message, datasets),
    blocks: (body) => body.blocks,
    above(body, slot) {
      const tables = new Map<string, Table>();
      for (const [name, table] of body.tables) {
        const rows = rowsAbove(table, slot);
        if (rows.length > 0) tables.set(name, table.take(rows));
      }
      return { blocks: body.blocks.filter((b) => b.slot > slot), tables };
    },
    empty: (body) => ({ blocks: body.blocks, tables: new Map() }),
    wire: (body) => body.wire,
  };
}

/** A row batch as it came: decoded when somebody looks, passed on as it is when nobody does. */
class ReceivedRows implements RowBatch {
  readonly wire: Message;
  private readonly catalog: DatasetCatalog;
  private sections: Map<string, Table> | null = null;
  private metas: BlockMeta[] = [];

  constructor(wire: Message, catalog: DatasetCatalog) {
    this.wire = wire;
    this.catalog = catalog;
  }

  get blocks(): readonly BlockMeta[] {
    this.read();
    return this.metas;
  }

  get tables(): ReadonlyMap<string, Table> {
    return this.read();
  }

  private read(): Map<string, Table> {
    if (this.sections !== null) return this.sections;
    const sections = readSections(this.wire, this.catalog);
    this.metas = blockMetas(blocksSection(sections));
    sections.delete(BLOCKS.name);
    this.sections = sections;
    return sections;
  }
}

function rowsAbove(table: Table, slot: number): number[] {
  const slots = table.column("slot");
  const rows: number[] = [];
  for (let i = 0; i < table.length; i++) if (slots.number(i) > slot) rows.push(i);
  return rows;
}
