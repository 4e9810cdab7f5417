/**
 * IDLs as they come: JSON text, or the bytes of the account that holds a program's IDL on chain. Anchor's own account: eight
 * bytes of discriminator, the authority's 32, a u32 length, then zlib-compressed JSON. An account of the Program Metadata program,
 * where newer Anchor puts it: 96 bytes of header, then the text, compressed or not. Such bytes are also taken as the RPC and the
 * `solana account --output json` command print them, in base64 inside JSON.
 * Layouts: https://docs.rs/anchor-lang/latest/anchor_lang/idl, https://github.com/solana-program/program-metadata
 */
import { gunzipSync, inflateSync, zstdDecompressSync } from "node:zlib";
import { Fatal } from "../../pipeline/errors.ts";
import type { Json } from "./idl-json.ts";

const HEADER_BYTES = 8 + 32 + 4;
/** Far above any program's; what is compressed could stand for gigabytes. */
const IDL_BYTES_MAX = 16 * 1024 * 1024;

/** The IDL in those bytes, as JSON. Throws `Fatal` IDL_INVALID that names the file. */
export function parseIdl(bytes: Uint8Array, where: string): unknown {
  if (isMetadata(bytes)) return parseJson(metadataContent(bytes, where), where);
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

/** Header of the Program Metadata program's accounts, byte offsets. */
const METADATA = { kind: 2, format: 85, source: 86, length: 87, data: 96 } as const;
const JSON_FORMAT = 1;

function isMetadata(bytes: Uint8Array): boolean {
  return bytes[0] === METADATA.kind && bytes.length > METADATA.data;
}

/** What the account holds itself. What it only points to (a URL, another account) is refused. */
function metadataContent(bytes: Uint8Array, where: string): Uint8Array {
  const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(METADATA.length, true);
  const data = bytes.subarray(METADATA.data, METADATA.data + length);
  if (bytes[METADATA.source] !== 0) {
    throw unreadable("the metadata account says where the IDL is, but does not hold it: give that place", where);
  }
  if (data.length < length) throw unreadable(`the account says ${length} bytes, ${data.length} are there`, where);
  if (bytes[METADATA.format]! > JSON_FORMAT) throw unreadable("the metadata account holds no JSON", where);
  try {
    return unpacked(data);
  } catch (cause) {
    throw unreadable("the metadata account's content cannot be unpacked", where, cause);
  }
}

/** By the first bytes of each format: the numbers in the header have not always meant the same. */
function unpacked(data: Uint8Array): Uint8Array {
  const limit = { maxOutputLength: IDL_BYTES_MAX };
  if (data[0] === 0x1f && data[1] === 0x8b) return gunzipSync(data, limit);
  if (data[0] === 0x28 && data[1] === 0xb5 && data[2] === 0x2f && data[3] === 0xfd)
    return zstdDecompressSync(data, limit);
  return data[0] === 0x78 ? inflateSync(data, limit) : data;
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
