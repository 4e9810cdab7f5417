/**
 * One server under load. Usage: contender.ts ours|native|handler FOLDER PATH. `native` answers from a route of `Bun.serve`
 * that is a finished `Response`, in which no JavaScript runs: the limit. `handler` makes a `Response` for each request.
 */
import { join } from "node:path";
import { FakeBackend } from "../../api/fixture.ts";
import { JoinedReads } from "../../api/reads/index.ts";
import { startApi } from "../../api/server.ts";
import { report } from "../harness.ts";

const [kind, folder, path] = process.argv.slice(2) as ["ours" | "native" | "handler", string, string];
const CONNECTIONS = 32;
const SECONDS = 2;
const JSON_TYPE = { "content-type": "application/json" };

async function serve(): Promise<number> {
  const body = kind === "ours" ? null : await Bun.file(join(folder, "body.json")).bytes();
  if (body !== null) {
    const finished = new Response(body, { headers: JSON_TYPE });
    const route = kind === "native" ? finished : () => new Response(body, { headers: JSON_TYPE });
    return Bun.serve({ hostname: "127.0.0.1", port: 0, routes: { [path.split("?")[0]!]: route } }).port!;
  }
  const reads = new JoinedReads({ folder, lanes: 1, source: "main" });
  const options = { backend: new FakeBackend(), reads, version: "bench", log: () => undefined };
  const api = await startApi({ ...options, host: "127.0.0.1", port: 0 });
  return Number(new URL(api.url).port);
}

const port = await serve();
// The server has this process's core to itself.
const pin = Bun.which("taskset") === null ? [] : ["taskset", "-c", "1"];
const load = [
  process.execPath,
  join(import.meta.dir, "load.ts"),
  String(port),
  path,
  String(CONNECTIONS),
  String(SECONDS),
];
const child = Bun.spawn([...pin, ...load], { stdout: "pipe", stderr: "inherit" });
const { perSecond, digest } = JSON.parse(await new Response(child.stdout).text()) as {
  perSecond: number;
  digest: string;
};
report(perSecond, digest);
process.exit(0);
