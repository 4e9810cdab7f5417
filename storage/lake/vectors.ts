/**
 * Rows of a batch's column into a vector of DuckDB's, a chunk at a time: values are laid out as DuckDB keeps them and handed
 * over in one copy for each vector, because a call for each value costs more than writing the Parquet file.
 *
 * Layouts, of DuckDB's C API (`duckdb.h`): fixed-width values in a row; a text is a `duckdb_string_t` of 16 bytes: u32 length,
 * then up to 12 bytes of text with zeros behind them, or its first 4 bytes and a pointer to it; validity is a bit a row.
 * The texts of a vector are given to it as one long text, which DuckDB copies to memory that lives as long as the vector; the
 * pointers of the others lead into that copy.
 */
import { isUtf8 } from "node:buffer";
import { DuckDBVector } from "@duckdb/node-api";
import bindings, { type Vector } from "@duckdb/node-bindings";
import { Fatal } from "../../pipeline/errors.ts";
import type { Column } from "../../pipeline/wire/column.ts";
import { BASE58_LENGTH_MAX, writeBase58 } from "./base58.ts";
import { Interner, sameBytes } from "./interner.ts";

/** Rows of a chunk at most: DuckDB's vector size. */
export const CHUNK_ROWS = DuckDBVector.standardSize();

/** Puts the cells of `count` rows, `rows[from]` and those behind it, into the first places of the vector. */
export type Gather = (vector: Vector, rows: Uint32Array, from: number, count: number) => void;

const STRING_WORDS = 4;
const INLINE_BYTES = 12;
const PREFIX_BYTES = 4;
/** Addresses that are kept as text; with more of them the cache starts over. */
const ADDRESSES_MAX = 65_536;
const ADDRESS_TEXT = BASE58_LENGTH_MAX[32];

/** Of the vector that is being filled: only one is at a time. */
const words = new Uint32Array(CHUNK_ROWS * STRING_WORDS);
const halves = new Uint16Array(words.buffer);
const octets = new Uint8Array(words.buffer);
const valid = new Uint32Array(CHUNK_ROWS / 32);

/** Texts of the vector that is being filled, end to end; the same text may serve many rows. */
class Pool {
  bytes = new Uint8Array(256 * 1024);
  used = 0;
  /** Where the text that was put or found last stands, and its length. */
  at = 0;
  length = 0;

  /** Makes sure that `length` more bytes fit. */
  reserve(length: number): void {
    if (this.used + length <= this.bytes.length) return;
    const bigger = new Uint8Array(Math.max(this.used + length, this.bytes.length * 2));
    bigger.set(this.bytes.subarray(0, this.used));
    this.bytes = bigger;
  }

  /** What was written behind the last text is one more. */
  added(length: number): void {
    this.at = this.used;
    this.length = length;
    this.used += length;
  }

  add(source: Uint8Array, start: number, end: number): void {
    this.reserve(end - start);
    const { bytes } = this;
    for (let i = start, at = this.used; i < end; i++, at++) bytes[at] = source[i]!;
    this.added(end - start);
  }
}

const pool = new Pool();

/** Values of `width` bytes, from byte `at` of every `stride` bytes of the column. */
export function gatherFixed(width: 1 | 2 | 4 | 8, stride: number = width, at = 0): (column: Column) => Gather {
  return (column) => {
    const copy = copier(column, width, stride / width, at / width);
    return (vector, rows, from, count) => {
      copy(rows, from, count);
      bindings.copy_data_to_vector(vector, 0, words.buffer as ArrayBuffer, 0, count * width);
      putValidity(vector, column, rows, from, count);
    };
  };
}

/** `stride` and `at` in values of the width. */
function copier(column: Column, width: number, stride: number, at: number) {
  const data = aligned(column.data);
  const { buffer, byteOffset, byteLength } = data;
  if (width === 8) {
    const source = new Uint32Array(buffer, byteOffset, byteLength / 4);
    return (rows: Uint32Array, from: number, count: number) => {
      for (let i = 0; i < count; i++) {
        const place = 2 * (rows[from + i]! * stride + at);
        words[2 * i] = source[place]!;
        words[2 * i + 1] = source[place + 1]!;
      }
    };
  }
  const [source, target] =
    width === 4
      ? [new Uint32Array(buffer, byteOffset, byteLength / 4), words]
      : width === 2
        ? [new Uint16Array(buffer, byteOffset, byteLength / 2), halves]
        : [data, octets];
  return (rows: Uint32Array, from: number, count: number) => {
    for (let i = 0; i < count; i++) target[i] = source[rows[from + i]! * stride + at]!;
  };
}

/** Texts and bytes as they are. Throws `Fatal` LAKE_TEXT where a text is not UTF-8, which DuckDB would take for nothing. */
export function gatherBytes(kind: "text" | "bytes"): (column: Column) => Gather {
  return (column) => {
    const { data } = column;
    const offsets = column.offsets!;
    const text = kind === "text";
    if (text && !isUtf8(data)) throw notUtf8(column);
    return (vector, rows, from, count) => {
      fillStrings(vector, column, rows, from, count, (row) => {
        const start = offsets[row]!;
        const end = offsets[row + 1]!;
        // The column is one valid text; a part of it is, if it begins and ends where a character does.
        if (text && (isInside(data, start) || isInside(data, end))) throw notUtf8(column);
        pool.add(data, start, end);
      });
    };
  };
}

/** 64 bytes as base58. They hardly repeat. */
export function gatherSignatures(column: Column): Gather {
  return (vector, rows, from, count) => {
    fillStrings(vector, column, rows, from, count, (row) => {
      pool.reserve(BASE58_LENGTH_MAX[64]);
      pool.added(writeBase58(column.data, row * 64, 64, pool.bytes, pool.used));
    });
  };
}

/** 32 bytes as base58. A file repeats a few mints, users and programs over and over: each is made once, and stands once in a vector. */
export function gatherAddresses(column: Column): Gather {
  return (vector, rows, from, count) => {
    const { data } = column;
    let before = -1;
    addresses.begin();
    fillStrings(vector, column, rows, from, count, (row) => {
      const start = row * 32;
      // Rows that are neighbours often share it: then it is where it was.
      if (before < 0 || !sameBytes(data, start, before, 32)) addresses.place(data, start);
      before = start;
    });
  };
}

class Addresses {
  private interner = new Interner();
  private texts = new Uint8Array(1024 * ADDRESS_TEXT);
  private lengths = new Uint8Array(ADDRESSES_MAX);
  /** Where the text stands in the pool, and in which vector that was so. */
  private offsets = new Uint32Array(ADDRESSES_MAX);
  private seenIn = new Uint32Array(ADDRESSES_MAX);
  private vector = 0;

  begin(): void {
    this.vector = (this.vector + 1) >>> 0;
    if (this.interner.size >= ADDRESSES_MAX - CHUNK_ROWS || this.vector === 0) {
      this.interner = new Interner();
      this.seenIn.fill(0);
      this.lengths.fill(0);
      this.vector = 1;
    }
  }

  place(source: Uint8Array, start: number): void {
    const id = this.interner.id(source, start, start + 32);
    if (this.seenIn[id] === this.vector) {
      pool.at = this.offsets[id]!;
      pool.length = this.lengths[id]!;
      return;
    }
    const at = id * ADDRESS_TEXT;
    if (this.lengths[id] === 0) {
      if (at + ADDRESS_TEXT > this.texts.length) {
        const bigger = new Uint8Array(this.texts.length * 2);
        bigger.set(this.texts);
        this.texts = bigger;
      }
      this.lengths[id] = writeBase58(source, start, 32, this.texts, at);
    }
    this.seenIn[id] = this.vector;
    this.offsets[id] = pool.used;
    pool.add(this.texts, at, at + this.lengths[id]!);
  }
}

const addresses = new Addresses();

/** `place` puts a row's text into the pool, or finds it there. */
function fillStrings(
  vector: Vector,
  column: Column,
  rows: Uint32Array,
  from: number,
  count: number,
  place: (row: number) => void,
): void {
  pool.used = 0;
  words.fill(0, 0, count * STRING_WORDS);
  let pointers = false;
  for (let i = 0; i < count; i++) {
    const row = rows[from + i]!;
    const word = i * STRING_WORDS;
    if (column.isNull(row)) continue;
    place(row);
    const { bytes, at, length } = pool;
    words[word] = length;
    const inline = Math.min(length, length > INLINE_BYTES ? PREFIX_BYTES : INLINE_BYTES);
    for (let k = 0, octet = (word + 1) * 4; k < inline; k++) octets[octet + k] = bytes[at + k]!;
    if (length <= INLINE_BYTES) continue;
    pointers = true;
    words[word + 2] = at;
  }
  if (pointers) point(vector, count);
  bindings.copy_data_to_vector(vector, 0, words.buffer as ArrayBuffer, 0, count * STRING_WORDS * 4);
  putValidity(vector, column, rows, from, count);
}

/** Gives the pool to the vector as the text of its first row, reads where DuckDB keeps it, and makes pointers of offsets. */
function point(vector: Vector, count: number): void {
  bindings.vector_assign_string_element_len(vector, 0, pool.bytes.subarray(0, pool.used));
  const first = bindings.vector_get_data(vector, STRING_WORDS * 4);
  const view = new DataView(first.buffer, first.byteOffset, first.byteLength);
  const low = view.getUint32(8, true);
  const high = view.getUint32(12, true);
  for (let word = 0; word < count * STRING_WORDS; word += STRING_WORDS) {
    if (words[word]! <= INLINE_BYTES) continue;
    const address = low + words[word + 2]!;
    words[word + 2] = address;
    words[word + 3] = address > 0xffffffff ? high + 1 : high;
  }
}

/** A batch's columns may begin anywhere in a message. */
function aligned(data: Uint8Array): Uint8Array {
  return data.byteOffset % 4 === 0 ? data : data.slice();
}

/** Whether the byte there goes on with a character of UTF-8. */
function isInside(data: Uint8Array, at: number): boolean {
  return at < data.length && (data[at]! & 0xc0) === 0x80;
}

function notUtf8({ spec }: Column): Fatal {
  return new Fatal("LAKE_TEXT", `a text of the column ${spec.name} is not UTF-8`, {
    hint: "Whatever made it should have put it into the quarantine. This is a fault of a decoder; please report it.",
  });
}

function putValidity(vector: Vector, column: Column, rows: Uint32Array, from: number, count: number): void {
  const { validity } = column;
  if (validity === null) return;
  valid.fill(0);
  for (let i = 0; i < count; i++) {
    const row = rows[from + i]!;
    valid[i >> 5]! |= ((validity[row >> 3]! >> (row & 7)) & 1) << (i & 31);
  }
  bindings.vector_ensure_validity_writable(vector);
  bindings.copy_data_to_vector_validity(vector, 0, valid.buffer as ArrayBuffer, 0, Math.ceil(count / 64) * 8);
}
