/** Instruction paths as text: "2" is the third top-level instruction, "2.0" the first of its flattened inner list. */

const CACHED_TOP = 64;
const CACHED_INNER = 256;
const encoder = new TextEncoder();
const cache: (Uint8Array | undefined)[] = [];

/** `inner` is -1 for the top-level instruction itself. The bytes are shared: read only. */
export function instructionPath(top: number, inner: number): Uint8Array {
  if (top >= CACHED_TOP || inner >= CACHED_INNER) return encode(top, inner);
  const key = top * (CACHED_INNER + 1) + inner + 1;
  return (cache[key] ??= encode(top, inner));
}

/** Stands for the instruction of an invocation that has none: the how-manieth in the log it is, from 0. */
export function unmatchedPath(invocation: number): Uint8Array {
  return encoder.encode(`~${invocation}`);
}

function encode(top: number, inner: number): Uint8Array {
  return encoder.encode(inner < 0 ? String(top) : `${top}.${inner}`);
}
