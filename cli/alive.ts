/** `sluice alive`: for service managers and container health checks, whether what should run on this host does. */
import { hostname } from "node:os";
import type { Command } from "commander";
import type { NodeReport } from "../pipeline/control.ts";
import { Transient } from "../pipeline/errors.ts";
import type { CliContext } from "./context.ts";
import { toJson } from "./output.ts";

const ANSWER_WITHIN_MS = 5_000;

export function register(program: Command, context: CliContext): void {
  program
    .command("alive")
    .description("exit 0 when stages of this host report and not all have failed; for health checks")
    .option("--api <url>", "look instead whether an API answers there")
    .addHelpText(
      "after",
      `
Examples:
  sluice alive                                   stages that run on this host, by their reports in NATS
  sluice alive --api http://127.0.0.1:8787       an API
  sluice alive --json

Exit code: 0 alive, 75 not (it may be a moment later). How well it does is told by GET /health and GET /v1/stages.`,
    )
    .action(async (options: { api?: string }, command: Command) => {
      const { config, json } = context.load(command);
      const told = options.api === undefined ? await stagesAlive(config) : await apiAlive(options.api);
      context.stdout.write(json ? `${toJson({ alive: true, detail: told })}\n` : `${told}\n`);
    });
}

async function stagesAlive(config: Parameters<typeof import("./deployment.ts").connectBroker>[0]): Promise<string> {
  const { connectBroker } = await import("./deployment.ts");
  const connection = await connectBroker(config, `sluice-alive-${process.pid}`);
  try {
    return judgeNodes(await connection.control.nodes(), hostname());
  } finally {
    await connection.close();
  }
}

/** What lives on the host. Throws `Transient` NOT_ALIVE when nothing does, or everything there has failed. */
export function judgeNodes(nodes: readonly NodeReport[], host: string): string {
  const here = nodes.filter((node) => node.host === host);
  if (here.length === 0) throw notAlive(`no stages of ${host} have reported lately`, host);
  const units = here.flatMap((node) => node.units);
  const failed = units.filter((unit) => unit.state === "failed");
  if (units.length > 0 && failed.length === units.length) {
    throw notAlive(`all ${units.length} units of ${host} have failed: ${failed[0]!.errors.at(-1)?.code ?? ""}`, host);
  }
  return `${here.length} ${here.length === 1 ? "process" : "processes"}, ${units.length} units, ${failed.length} failed`;
}

/** Throws `Transient` NOT_ALIVE when nobody answers. */
export async function apiAlive(url: string): Promise<string> {
  try {
    const response = await fetch(new URL("/v1/openapi.json", url), { signal: AbortSignal.timeout(ANSWER_WITHIN_MS) });
    await response.body?.cancel();
    if (response.ok) return `${url} answers`;
    throw notAlive(`it answers with status ${response.status}`, url);
  } catch (error) {
    if (error instanceof Transient) throw error;
    throw notAlive("nobody answers", url);
  }
}

function notAlive(message: string, where: string): Transient {
  return new Transient("NOT_ALIVE", message, { where, hint: "See its log; `sluice doctor` looks at what it needs." });
}
