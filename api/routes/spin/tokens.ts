/** `/api/mints` and `/api/details`. */
import { Type as t } from "@sinclair/typebox";
import { AddressSchema, addressBytes, bad, type Param } from "../../params.ts";
import type { MintPoint, TokenReads } from "../../reads/index.ts";
import type { Route } from "../route.ts";
import { enveloped, LIMIT_MAX, limit, offsetOf, order, page } from "./envelope.ts";
import { addressText, DetailSchema, detailBody, type UriDataOf } from "./rows.ts";

const Mints = t.Object({
  mints: t.Array(t.String()),
  total: t.Null(),
  page: t.Integer(),
  limit: t.Integer(),
  has_next: t.Boolean(),
  has_prev: t.Boolean(),
  next_cursor: t.Union([t.String(), t.Null()]),
  sort_by: t.String(),
});
const Details = t.Object({ details: t.Array(DetailSchema), total: t.Integer() });

const NO_MINTS = { mints: [], total: null, page: 0, limit: 0, has_next: false, has_prev: false, next_cursor: null };

/** "mt:", the slot in ten digits, the address: where the list of tokens goes on. */
const CURSOR = /^mt:(\d{10,16}):(\w{32,44})$/;
const cursor: Param<MintPoint | null> = {
  schema: t.String({ pattern: CURSOR.source }),
  required: false,
  doc: "next_cursor of the page before",
  read(text) {
    if (text === undefined || text === "") return null;
    const [, slot, address] = CURSOR.exec(text) ?? [];
    const mint = address === undefined ? null : addressBytes(address);
    if (mint === null) throw bad("cursor must be the next_cursor of an earlier answer");
    return { firstSlot: Number(slot), mint };
  },
};

export function tokenRoutes(reads: TokenReads, uriDataOf: UriDataOf): Route[] {
  return [mints(reads), details(reads, uriDataOf)];
}

function mints(reads: TokenReads): Route {
  return enveloped({
    method: "GET",
    path: "/api/mints",
    summary: "Addresses of tokens by the slot in which they were first seen",
    params: {
      limit,
      page,
      sort_by: order(["slot_asc", "slot_desc"], "sort_by must be 'slot_asc' or 'slot_desc'"),
      cursor,
    },
    data: Mints,
    empty: { ...NO_MINTS, sort_by: "" },
    version: () => reads.version(null),
    handle({ params }) {
      const { limit, page, cursor, sort_by } = params;
      // One more is looked for, so that a full last page is known to be the last.
      const from = cursor === null ? { offset: offsetOf(params) } : { after: cursor };
      const { data } = reads.mints({ order: sort_by, limit: limit + 1, ...from });
      const rows = data.slice(0, limit);
      const last = data.length > limit ? rows.at(-1)! : null;
      const next =
        last === null ? null : `mt:${String(last["first_slot"]).padStart(10, "0")}:${addressText(last["mint"])}`;
      return {
        mints: rows.map((row) => addressText(row["mint"])),
        total: null,
        page,
        limit,
        has_next: next !== null,
        has_prev: cursor !== null || page > 1,
        next_cursor: next,
        sort_by: `slot_${sort_by}`,
      };
    },
  });
}

function details(reads: TokenReads, uriDataOf: UriDataOf): Route {
  return enveloped({
    method: "POST",
    path: "/api/details",
    summary: `Details of up to ${LIMIT_MAX} tokens; those beyond are left out, and so are unknown ones`,
    body: t.Object({ mints: t.Array(AddressSchema, { minItems: 1 }) }),
    data: Details,
    empty: { details: [], total: 0 },
    handle({ body }) {
      const found = reads.details(mintsOf(body));
      const rows = found.data.map((row) => detailBody(row, uriDataOf));
      return { details: rows, total: rows.length };
    },
  });
}

function mintsOf(body: unknown): Uint8Array[] {
  const mints = typeof body === "object" && body !== null && "mints" in body ? body.mints : undefined;
  if (!Array.isArray(mints)) throw bad('the body must be {"mints": [address, ...]}');
  if (mints.length === 0) throw bad("mints parameter cannot be empty");
  return mints.slice(0, LIMIT_MAX).map((text: unknown, i) => {
    const mint = typeof text === "string" ? addressBytes(text) : null;
    if (mint === null)
      throw bad(`mints[${i}] must be a base58 address of 32 to 44 characters that decodes to 32 bytes`);
    return mint;
  });
}
