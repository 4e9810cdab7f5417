/** Payloads that could not be decoded, with their bytes: kept, counted and re-decodable, never dropped in silence. */
import type { DatasetSpec } from "./dataset.ts";
import { eventDataset } from "./event.ts";

/** Why a payload was set aside. `bytes_left_over`: it has a row too, of the fields that are known. */
export type QuarantineReason = "bytes_left_over" | "unknown_length" | "bad_value" | "bad_block" | "truncated_payload";

export const QUARANTINE: DatasetSpec = eventDataset({
  name: "quarantine",
  version: 1,
  doc: "Undecodable payloads with the place they came from and the reason.",
  fields: [
    {
      name: "reason",
      type: "utf8",
      doc: "unknown_length, bad_value, bytes_left_over, truncated_payload or bad_block.",
    },
    { name: "detail", type: "utf8", doc: "What exactly was wrong, for a human." },
    { name: "discriminator", type: "bytes", nullable: true, doc: "First eight bytes, where the payload has them." },
    { name: "payload", type: "bytes", doc: "The payload as received." },
  ],
});
