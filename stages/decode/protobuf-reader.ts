/**
 * A cursor over protobuf's wire format that builds nothing: the caller asks for the next tag, reads what it knows and
 * skips the rest. Every failure is a `Poison`, and every step moves forward, so no input can make a reader hang.
 * Format: https://protobuf.dev/programming-guides/encoding
 */
import { Poison } from "../../pipeline/errors.ts";

/** Low three bits of a tag. */
export const WIRE = { varint: 0, fixed64: 1, bytes: 2, groupStart: 3, groupEnd: 4, fixed32: 5 } as const;

/** Groups are long obsolete, but legal in unknown fields; deeper nesting than this is an attack, not data. */
const MAX_GROUP_DEPTH = 100;
const EMPTY = new Uint8Array(0);

/** The tag of a length-delimited field, for `case` labels. */
export function bytesTag(field: number): number {
  return (field << 3) | WIRE.bytes;
}

/** The tag of a varint field, for `case` labels. */
export function varintTag(field: number): number {
  return (field << 3) | WIRE.varint;
}

export class ProtobufReader {
  /** The whole buffer; offsets are absolute within it. */
  bytes: Uint8Array = EMPTY;
  /** Where the next read happens. After `value()` it is the start of the value. */
  pos = 0;
  /** End of the message being read. */
  end = 0;

  reset(bytes: Uint8Array): void {
    this.bytes = bytes;
    this.pos = 0;
    this.end = bytes.length;
  }

  /** Next tag (`field << 3 | wire type`), or 0 at the end of the message. */
  tag(): number {
    if (this.pos >= this.end) return 0;
    const first = this.bytes[this.pos]!;
    if (first >= 0x80) return this.longTag();
    if (first < 8) throw this.broken("PROTOBUF_TAG", "field number 0");
    this.pos++;
    return first;
  }

  /** Enters a length-delimited message: until `close`, the reader ends where the message ends. Returns the outer end. */
  open(): number {
    const outer = this.end;
    this.end = this.value();
    return outer;
  }

  /** Leaves the message entered last, wherever in it the reader stands. */
  close(outer: number): void {
    this.pos = this.end;
    this.end = outer;
  }

  /** Reads a length and returns the end of the value; `pos` is its start, and the caller moves `pos` on. */
  value(): number {
    const length = this.varint();
    const end = this.pos + length;
    if (end > this.end)
      throw this.broken("PROTOBUF_LENGTH", `a value of ${length} bytes passes the end of its message`);
    return end;
  }

  /** A varint as a number: exact to 2^53, enough for lengths and indexes. */
  varint(): number {
    const bytes = this.bytes;
    let pos = this.pos;
    if (pos + 1 < this.end) {
      const first = bytes[pos]!;
      if (first < 0x80) {
        this.pos = pos + 1;
        return first;
      }
      const second = bytes[pos + 1]!;
      if (second < 0x80) {
        this.pos = pos + 2;
        return (first & 0x7f) | (second << 7);
      }
    }
    let value = 0;
    let scale = 1;
    for (let i = 0; i < 10; i++) {
      if (pos >= this.end) throw this.broken("PROTOBUF_TRUNCATED", "a varint passes the end of its message");
      const byte = bytes[pos++]!;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        this.pos = pos;
        return value;
      }
      scale *= 128;
    }
    throw this.broken("PROTOBUF_VARINT", "a varint is longer than ten bytes");
  }

  /** Passes over the value of `tag`. */
  skip(tag: number): void {
    if ((tag & 7) === WIRE.bytes) this.pos = this.value();
    else this.skipRare(tag, 0);
  }

  private skipRare(tag: number, depth: number): void {
    switch (tag & 7) {
      case WIRE.varint:
        this.varint();
        break;
      case WIRE.fixed64:
        this.advance(8);
        break;
      case WIRE.bytes:
        this.pos = this.value();
        break;
      case WIRE.fixed32:
        this.advance(4);
        break;
      case WIRE.groupStart:
        this.skipGroup(tag, depth + 1);
        break;
      default:
        throw this.broken("PROTOBUF_TAG", `wire type ${tag & 7} cannot stand here`);
    }
  }

  private skipGroup(start: number, depth: number): void {
    if (depth > MAX_GROUP_DEPTH) throw this.broken("PROTOBUF_NESTING", `more than ${MAX_GROUP_DEPTH} nested groups`);
    for (;;) {
      const tag = this.tag();
      if (tag === 0) throw this.broken("PROTOBUF_TRUNCATED", "a group does not end");
      if (tag === start + 1) return; // the same field number with the wire type of a group's end
      this.skipRare(tag, depth);
    }
  }

  private advance(size: number): void {
    if (this.pos + size > this.end)
      throw this.broken("PROTOBUF_TRUNCATED", "a fixed value passes the end of its message");
    this.pos += size;
  }

  private longTag(): number {
    const tag = this.varint();
    if (tag < 8 || tag >= 2 ** 32) throw this.broken("PROTOBUF_TAG", `no field has the tag ${tag}`);
    return tag >>> 0;
  }

  private broken(code: string, message: string): Poison {
    return new Poison(code, message, {
      where: `byte ${this.pos} of ${this.bytes.length}`,
      hint: "The bytes are not the message they claim to be; they are kept in the quarantine dataset.",
    });
  }
}
