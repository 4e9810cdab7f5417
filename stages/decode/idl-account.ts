/**
 * IDLs as they come: JSON text, or the bytes of the account in which Anchor keeps a program's IDL on chain: eight bytes of
 * discriminator, the authority's 32, a u32 length, then zlib-compressed JSON. Such bytes are also taken as the RPC and the
 * `solana account --output json` command print them, in base64 inside JSON.
 * Layout: https://docs.rs/anchor-lang/latest/anchor_lang/idl
 */
import { inflateSync } from "node:zlib";
import { Fatal } from "../../pipeline/errors.ts";
import type { Json } from "./idl-json.ts";

const HEADER_BYTES = 8 + 32 + 4;
/** Far above any program's; what is compressed could stand for gigabytes. */
const IDL_BYTES_MAX = 16 * 1024 * 1024;

/** The IDL in those bytes, as JSON. Throws `Fatal` IDL_INVALID that names the file. */
export function parseIdl(bytes: Uint8Array, where: string): unknown {
  const first = bytes.find((byte) => byte > 0x20 && byte !== 0xef && byte !== 0xbb && byte !== 0xbf);
  if (first === undefined) throw unreadable("it is empty", where);
  if (first !== 0x7b) return parseJson(inflate(bytes, where), where);
  const json = parseJson(bytes, where);
  const account = accountData(json);
  return account === null ? json : parseIdl(account, where);
}

/** The bytes of an account within what prints one: `{account: {data}}`, `{result: {value: {data}}}`, `{data}`. */
function accountData(json: unknown): Uint8Array | null {
  const inner = (value: unknown, key: string) =>
    typeof value === "object" && value !== null ? (value as Json)[key] : undefined;
  const holders = [inner(json, "account"), inner(inner(json, "result"), "value"), json];
  for (const holder of holders) {
    const data = inner(holder, "data");
    if (Array.isArray(data) && data[1] === "base64" && typeof data[0] === "string")
      return Buffer.from(data[0], "base64");
  }
  return null;
}

function inflate(bytes: Uint8Array, where: string): Uint8Array {
  if (bytes.length < HEADER_BYTES) throw unreadable("it is neither JSON nor the bytes of an IDL account", where);
  const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(HEADER_BYTES - 4, true);
  const packed = bytes.subarray(HEADER_BYTES, HEADER_BYTES + length);
  if (packed.length < length) throw unreadable(`the account says ${length} bytes, ${packed.length} are there`, where);
  try {
    return inflateSync(packed, { maxOutputLength: IDL_BYTES_MAX });
  } catch (cause) {
    throw unreadable("it is neither JSON nor the bytes of an IDL account", where, cause);
  }
}

function parseJson(bytes: Uint8Array, where: string): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    throw unreadable(`it is not JSON: ${cause instanceof Error ? cause.message : String(cause)}`, where, cause);
  }
}

function unreadable(what: string, where: string, cause?: unknown): Fatal {
  return new Fatal("IDL_INVALID", `this is no Anchor IDL: ${what}`, {
    where,
    hint: "Give the IDL's JSON, or its account as `solana account ADDRESS --output json` or `--output-file` writes it.",
    ...(cause === undefined ? {} : { cause }),
  });
}
