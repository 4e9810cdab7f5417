/** `/v1/lake`: how much of the chain the lake covers, dataset by dataset, as its manifest says. */
import { Type as t } from "@sinclair/typebox";
import type { LakeFile } from "../../../storage/lake/reader.ts";
import type { LakeSnapshot, StoreReads } from "../../reads/store-reads.ts";
import { ok, type Route, route } from "../route.ts";

/** Ranges told of a dataset: the newest. More means a lake in pieces, and their number says so. */
const RANGES_MAX = 50;

const Nullable = (description: string) => t.Union([t.Integer(), t.Null()], { description });
const Dataset = t.Object(
  {
    dataset: t.String(),
    files: t.Integer(),
    rows: t.Integer(),
    bytes: t.Integer(),
    from_time: Nullable("block time of the oldest row, Unix seconds"),
    to_time: Nullable("block time of the newest row, Unix seconds"),
    covered_slots: t.Integer({ description: "slots in all ranges together" }),
    range_count: t.Integer({ description: "1: no gap between the first slot covered and the last" }),
    ranges: t.Array(t.Array(t.Integer(), { minItems: 2, maxItems: 2 }), {
      description: `slots covered, with rows or without: first and last of each range; the newest ${RANGES_MAX}`,
    }),
  },
  { title: "LakeDataset" },
);
const Lake = t.Object(
  {
    head: t.Union([t.Object({ entry: t.Integer(), sha256: t.String() }), t.Null()], {
      description: "the manifest's last entry; null for an empty lake",
    }),
    lineages: t.Array(
      t.Object({
        kind: t.String(),
        source: t.String(),
        dataset: t.String(),
        entry: t.Integer({ description: "its last one" }),
        slot: t.Integer({ description: "up to which it has come" }),
      }),
    ),
    datasets: t.Array(Dataset),
  },
  { title: "Lake" },
);

export function lakeRoutes(stores: StoreReads): Route[] {
  return [
    route({
      method: "GET",
      path: "/v1/lake",
      summary: "What the lake holds and which slots it covers, by dataset",
      audience: "read",
      answers: {
        200: t.Object({ data: t.Union([Lake, t.Null()], { description: "null where no lake is configured" }) }),
      },
      async handle() {
        const lake = await stores.lakeNow();
        return ok({ data: lake === null ? null : lakeBody(lake) });
      },
    }),
  ];
}

function lakeBody({ head, lineages, files, coverage }: LakeSnapshot) {
  const names = [...new Set([...coverage.keys(), ...files.keys()])].sort();
  return {
    head: head === null ? null : { entry: head.number, sha256: head.sha256 },
    lineages: lineages.map(({ lineage: { kind, source, dataset }, number, position }) => {
      return { kind, source, dataset, entry: number, slot: position.slot };
    }),
    datasets: names.map((dataset) => {
      const ranges = coverage.get(dataset) ?? [];
      return {
        dataset,
        ...sumsOf(files.get(dataset) ?? []),
        covered_slots: ranges.reduce((slots, { first, last }) => slots + last - first + 1, 0),
        range_count: ranges.length,
        ranges: ranges.slice(-RANGES_MAX).map(({ first, last }) => [first, last]),
      };
    }),
  };
}

function sumsOf(files: readonly LakeFile[]) {
  const sums = { rows: 0, bytes: 0, from: Infinity, to: -Infinity };
  for (const { rows, bytes, blockTime } of files) {
    sums.rows += rows;
    sums.bytes += bytes;
    sums.from = Math.min(sums.from, blockTime.min);
    sums.to = Math.max(sums.to, blockTime.max);
  }
  const time = (value: number) => (Number.isFinite(value) ? value : null);
  return {
    files: files.length,
    rows: sums.rows,
    bytes: sums.bytes,
    from_time: time(sums.from),
    to_time: time(sums.to),
  };
}
