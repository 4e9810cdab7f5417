/** Every metric that the API exports, with type and help: read off a page on which a deployment has something of everything. */
import { FakeBackend } from "../api/fixture.ts";
import { renderMetrics } from "../api/metrics.ts";
import { parseExposition } from "../api/prometheus-check.ts";
import { allRoutes } from "../api/routes/index.ts";
import { Traffic } from "../api/traffic.ts";
import { viewOf } from "../api/view.ts";

export interface ExportedMetrics {
  /** Names of series, those of histograms with their endings. */
  readonly series: ReadonlySet<string>;
  readonly metrics: readonly {
    readonly name: string;
    readonly type: string;
    readonly help: string;
    readonly labels: readonly string[];
  }[];
}

export async function exportedMetrics(): Promise<ExportedMetrics> {
  const backend = new FakeBackend();
  const counts = { blocks: 1, bytes: 1 };
  const budget = { percent: 50, what: "blocks of the month" };
  const spend = { today: counts, month: counts, projectedMonth: counts, budget };
  const stages = [{ modules: ["map"], completedRanges: [[1, 2]], readyUpToExclusive: 0 }];
  const source = {
    ...{ state: "streaming", attempts: 1, lastAttemptAt: 1, lastSuccessAt: 1, tokenExpiresAt: 1 },
    progress: { runningJobs: 1, processedBlocks: 1, stages },
  };
  const lake = { entries: 1, files: 1, rows: 1, bytes: 1 };
  backend.change("ingest.main", { details: { source, spend } });
  const decoded = { seen: 1, lastDecodedSlot: 1, shares: { fiveMinutes: 1, oneHour: 1 } };
  const programs = { spinpet: { ...decoded, datasets: { buy_sell: decoded } } };
  const alarms = [{ kind: "share_fell", program: "spinpet", dataset: null }];
  const alarmWebhook = { sent: 1, failed: 0 };
  backend.change("decode.main", { details: { decoders: { blocks: 1, programs, alarms }, alarmWebhook } });
  backend.change("archive.main", { details: { lake, pendingFinal: { blocks: 1, rows: 1 }, shipping: { waiting: 1 } } });
  const traffic = new Traffic();
  traffic.observe({ ...(await allRoutes({ backend, version: "0" }))[0]!, timed: true }, 200, 0.1);
  const text = await renderMetrics([viewOf(await backend.snapshot(), backend)], "0.1.0", traffic);
  const { samples, type, help } = parseExposition(text);
  const all = [...samples.keys()].map((series) => /^(\w+)(?:\{(.*)\})?$/s.exec(series)!);
  const labelsOf = (name: string) => {
    const own = all.filter((m) => m[1]!.replace(/_(bucket|sum|count)$/, "") === name || m[1] === name);
    return [...new Set(own.flatMap((m) => [...(m[2] ?? "").matchAll(/(\w+)="/g)].map((label) => label[1]!)))];
  };
  return {
    series: new Set(all.map((m) => m[1]!)),
    metrics: [...type].map(([name, kind]) => ({
      name,
      type: kind,
      help: help.get(name) ?? "",
      labels: labelsOf(name),
    })),
  };
}
