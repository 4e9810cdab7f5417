/** `/v1/quarantine`: the newest payloads that could not be decoded, with the reason and how they begin. */
import { Type as t } from "@sinclair/typebox";
import { QUARANTINE } from "../../../pipeline/datasets/quarantine.ts";
import { integer } from "../../params.ts";
import type { Row } from "../../reads/index.ts";
import type { StoreReads } from "../../reads/store-reads.ts";
import { ok, type Route, route } from "../route.ts";
import { addressText, PLACE, placeBody } from "./shapes.ts";

/** Bytes of a payload that are told; `sluice sql` has them all. */
const PREVIEW_BYTES = 64;

const Payload = t.Object(
  {
    ...PLACE,
    program: t.Union([t.String(), t.Null()]),
    reason: t.String({ description: "unknown_length, bad_value, bytes_left_over, truncated_payload or bad_block" }),
    detail: t.String(),
    discriminator: t.Union([t.String(), t.Null()], { description: "hex" }),
    payload_bytes: t.Integer(),
    payload_start: t.String({ description: `hex of the first ${PREVIEW_BYTES} bytes` }),
  },
  { title: "QuarantinedPayload" },
);

export function quarantineRoutes(stores: StoreReads): Route[] {
  return [
    route({
      method: "GET",
      path: "/v1/quarantine",
      summary: "The newest payloads that could not be decoded, of those that are still hot",
      audience: "read",
      params: { limit: integer("payloads", { min: 1, max: 50, default: 20 }) },
      answers: { 200: t.Object({ data: t.Array(Payload) }) },
      handle({ params }) {
        return ok({ data: stores.newest(QUARANTINE.name, params.limit).map(payloadBody) });
      },
    }),
  ];
}

function payloadBody(row: Row) {
  const payload = row["payload"] as Uint8Array;
  const discriminator = row["discriminator"];
  return {
    ...placeBody(row),
    program: addressText(row["program"]),
    reason: String(row["reason"]),
    detail: String(row["detail"]),
    discriminator: discriminator instanceof Uint8Array ? hex(discriminator) : null,
    payload_bytes: payload.length,
    payload_start: hex(payload.subarray(0, PREVIEW_BYTES)),
  };
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
