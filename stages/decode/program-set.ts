/** The configured programs as the reader meets them: 32 raw bytes in an account list, base58 text in a log line. */
import bs58 from "bs58";
import { Fatal } from "../../pipeline/errors.ts";

export const ADDRESS_BYTES = 32;

/** The 32 bytes of a base58 address; `where` names the setting for the error message. */
export function parseAddress(text: string, where: string): Uint8Array {
  let bytes: Uint8Array;
  try {
    bytes = bs58.decode(text);
  } catch (cause) {
    throw new Fatal("PROGRAM_ADDRESS", `"${text}" is not base58`, { where, hint: "Check the address.", cause });
  }
  if (bytes.length !== ADDRESS_BYTES) {
    throw new Fatal("PROGRAM_ADDRESS", `"${text}" is ${bytes.length} bytes long, an address has ${ADDRESS_BYTES}`, {
      where,
      hint: "Check the address.",
    });
  }
  return bytes;
}

/** Programs are numbered from 1 in the order given; 0 means "none of them". */
export class ProgramSet {
  readonly size: number;
  private readonly keys: readonly Uint8Array[];
  private readonly names: readonly Uint8Array[];
  /** By the first two bytes of an address: 1 when some program starts so. Nearly every foreign key stops here. */
  private readonly starts = new Uint8Array(65536);

  constructor(keys: readonly Uint8Array[]) {
    this.size = keys.length;
    this.keys = keys;
    this.names = keys.map((key) => new TextEncoder().encode(bs58.encode(key)));
    for (const key of keys) this.starts[key[0]! | (key[1]! << 8)] = 1;
  }

  /** Number of the program whose address stands at `bytes[at, at + 32)`. */
  find(bytes: Uint8Array, at: number): number {
    if (this.starts[bytes[at]! | (bytes[at + 1]! << 8)] === 0) return 0;
    for (let i = 0; i < this.keys.length; i++) {
      if (equalAt(this.keys[i]!, bytes, at)) return i + 1;
    }
    return 0;
  }

  /** Number of the program whose base58 text is `bytes[start, end)`. */
  findText(bytes: Uint8Array, start: number, end: number): number {
    for (let i = 0; i < this.names.length; i++) {
      const name = this.names[i]!;
      if (name.length === end - start && equalAt(name, bytes, start)) return i + 1;
    }
    return 0;
  }
}

function equalAt(expected: Uint8Array, bytes: Uint8Array, at: number): boolean {
  for (let i = 0; i < expected.length; i++) if (expected[i] !== bytes[at + i]) return false;
  return true;
}
