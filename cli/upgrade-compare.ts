/** Holds two generations of a source against each other: rows of each dataset up to a slot that both have reached. */
import type { Config } from "../pipeline/config.ts";
import { openStores } from "./sql.ts";

export interface Comparison {
  /** Last slot that is compared. */
  readonly slot: number;
  /** Null: the generation does not know the dataset. */
  readonly datasets: readonly { readonly dataset: string; readonly old: bigint | null; readonly new: bigint | null }[];
  /** Datasets of which the new generation has fewer rows. */
  readonly fewer: readonly string[];
}

/** Reads lake and hot stores of this host. */
export async function compare(old: Config, next: Config): Promise<Comparison> {
  const [before, after] = [await openCounts(old), await openCounts(next)];
  try {
    const slot = Math.min(await before.lastSlot(), await after.lastSlot());
    const [left, right] = [await before.counts(slot), await after.counts(slot)];
    const names = [...new Set([...left.keys(), ...right.keys()])].sort();
    const datasets = names.map((dataset) => ({
      dataset,
      old: left.get(dataset) ?? null,
      new: right.get(dataset) ?? null,
    }));
    const fewer = datasets.filter((d) => d.old !== null && d.old > (d.new ?? 0n)).map((d) => d.dataset);
    return { slot, datasets, fewer };
  } finally {
    before.close();
    after.close();
  }
}

async function openCounts(config: Config) {
  const [{ decodersFor }, opened] = await Promise.all([
    import("./programs.ts"),
    openStores([config], { onlyThis: true }),
  ]);
  const { catalog } = await decodersFor(config);
  const ask = async (sql: string): Promise<readonly unknown[][]> => {
    const { rows } = await opened.analytics.query(sql, { maxRows: 10_000, maxBytes: 16 * 1024 * 1024 });
    return rows as readonly unknown[][];
  };
  const datasets = [...catalog.keys()];
  const each = (expression: (name: string) => string) =>
    datasets.map((name) => `select '${name}' as dataset, ${expression(`"${name}"`)}`).join(" union all ");
  return {
    async lastSlot(): Promise<number> {
      const rows = await ask(each((name) => `coalesce(max(slot), 0) as slot from ${name}`));
      return rows.reduce((last, [, slot]) => Math.max(last, Number(slot)), 0);
    },
    async counts(slot: number): Promise<Map<string, bigint>> {
      const rows = await ask(each((name) => `count(*) as n from ${name} where slot <= ${slot}`));
      return new Map(rows.map(([dataset, n]) => [String(dataset), BigInt(n as bigint)]));
    },
    close: () => opened.close(),
  };
}
