/** What this server has answered: requests by route and status, how long reads of tokens took, and who is connected. */
import type { Page } from "./metrics.ts";
import type { Route } from "./routes/route.ts";

/** Upper bounds of the histogram's buckets, seconds. */
const BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10] as const;

interface Served {
  readonly byStatus: Map<number, number>;
  /** Answers by bucket, the last for those that took longer. */
  readonly buckets: number[];
  seconds: number;
}

export class Traffic {
  /** Sockets and requests that are open; the server says. */
  connections: () => number = () => 0;
  private readonly served = new Map<string, Served>();

  observe(route: Route, status: number, seconds: number): void {
    const key = `${route.method} ${route.path}`;
    let served = this.served.get(key);
    if (served === undefined) {
      served = { byStatus: new Map(), buckets: new Array<number>(BUCKETS.length + 1).fill(0), seconds: 0 };
      this.served.set(key, served);
    }
    served.byStatus.set(status, (served.byStatus.get(status) ?? 0) + 1);
    if (route.timed !== true) return;
    let bucket = 0;
    while (bucket < BUCKETS.length && seconds > BUCKETS[bucket]!) bucket++;
    served.buckets[bucket]!++;
    served.seconds += seconds;
  }

  fill(page: Page): void {
    page.gauge("sluice_api_connections", "Sockets and requests that are open", this.connections());
    for (const [key, { byStatus }] of this.served) {
      const [method, path] = key.split(" ") as [string, string];
      for (const [status, count] of byStatus) {
        const labels = { method, path, status: String(status) };
        page.counter("spin_server_requests_total", "Total number of requests", count, labels);
      }
    }
  }

  /** The histogram, as Prometheus reads it: its sums are kept here, so it is written here. */
  histogram(): string {
    const name = "spin_server_mint_query_duration_seconds";
    const lines = [`# HELP ${name} Time spent querying mint data`, `# TYPE ${name} histogram`];
    for (const [key, { buckets, seconds }] of this.served) {
      const path = `path="${key.split(" ")[1]}"`;
      let total = 0;
      const counts = buckets.map((count) => (total += count));
      if (total === 0) continue;
      BUCKETS.forEach((bound, i) => void lines.push(`${name}_bucket{le="${bound}",${path}} ${counts[i]}`));
      lines.push(`${name}_bucket{le="+Inf",${path}} ${total}`, `${name}_sum{${path}} ${seconds}`);
      lines.push(`${name}_count{${path}} ${total}`);
    }
    return lines.length === 2 ? "" : `${lines.join("\n")}\n`;
  }
}
