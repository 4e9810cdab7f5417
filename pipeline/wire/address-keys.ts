/** The addresses of a column as keys (see `pipeline/datasets/key.ts`), without making an array for each row. */
import { WIDTH } from "../datasets/dataset.ts";
import type { Column } from "./column.ts";

const BYTES = WIDTH.bytes32!;

/** For each row of a bytes32 column the key of its address. Not for null rows. */
export function addressKeys(column: Column): (row: number) => string {
  if (column.spec.type !== "bytes32") throw new TypeError(`${column.spec.name} is ${column.spec.type}, not an address`);
  const { buffer, byteOffset, length } = column.data;
  const bytes = Buffer.from(buffer, byteOffset, length);
  return (row) => bytes.toString("latin1", row * BYTES, (row + 1) * BYTES);
}
