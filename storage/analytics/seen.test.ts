/** Goal: what is told with an answer says all that matters, however large the lake. Method: a lake of many files and lineages. */
import { expect, test } from "bun:test";
import { briefSeen, SEEN_FILES } from "./seen.ts";

const keys = (count: number, name: string) => Array.from({ length: count }, (_, i) => `${name}-${i}`);
const segment = (slot: number, source = "main") => ({ source, kind: "backfill", dataset: "all", slot });

test("files are counted, and the first of them told; lineages of a kind are told as one", () => {
  const brief = briefSeen({
    ...{ lake: { number: 9, sha256: "ab" }, hot: [] },
    lineages: [segment(30), { ...segment(99), kind: "live" }, segment(50), segment(40), segment(7, "other")],
    files: [
      { dataset: "trades", opened: keys(3, "o"), ruledOut: keys(5_000, "r") },
      { dataset: "mints", opened: [], ruledOut: [] },
    ],
  });
  expect(brief).toEqual({
    ...{ lake: { number: 9, sha256: "ab" }, hot: [] },
    lineages: [
      { ...segment(50), lineages: 3 },
      { ...segment(99), kind: "live", lineages: 1 },
      { ...segment(7, "other"), lineages: 1 },
    ],
    files: [
      {
        ...{ dataset: "trades", opened: keys(3, "o"), openedCount: 3 },
        ...{ ruledOut: keys(SEEN_FILES, "r"), ruledOutCount: 5_000 },
      },
      { dataset: "mints", opened: [], openedCount: 0, ruledOut: [], ruledOutCount: 0 },
    ],
  });
});
