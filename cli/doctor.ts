/** `sluice doctor`: looks at everything that a deployment needs before it runs, and says what to mend, and how. */
import { existsSync, mkdtempSync } from "node:fs";
import { rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Command } from "commander";
import type { Broker } from "../pipeline/broker.ts";
import type { Config } from "../pipeline/config.ts";
import { systemWorld } from "../pipeline/world.ts";
import { type CliContext, oneOf } from "./context.ts";
import { type Check, type CheckResult, type CheckState, fail, ok, once, runChecks } from "./doctor/check.ts";
import { type Clock, hostChecks } from "./doctor/host.ts";
import type { LakeProbe } from "./doctor/lake.ts";
import { missingFolders, removeEmpty } from "./doctor/traces.ts";
import { folders } from "./folders.ts";
import { type CommandIo, EXIT, type Output, paint, toJson } from "./output.ts";
import { tokensPath } from "./token.ts";

/** One check may wait for an endpoint that prepares its first block. */
const CHECK_TIMEOUT_MS = 60_000;
export const GROUPS = ["host", "nats", "source", "lake", "api"] as const;
type Group = (typeof GROUPS)[number];

export function register(program: Command, context: CliContext): void {
  program
    .command("doctor")
    .description("check host, NATS, endpoint, package, lake and API before running; say what to mend")
    .argument("[groups...]", `only these: ${GROUPS.join(", ")} (default: all)`)
    .option("--offline", "do not call the endpoint (otherwise one block is streamed, and paid for)")
    .option("--nats-monitor <url>", "the NATS server's monitoring endpoint (default: port 8222 of its host)")
    .addHelpText(
      "after",
      `
Examples:
  sluice doctor
  sluice doctor nats lake --json
  sluice doctor --offline && sluice stages

Nothing is changed: what is written to disks and stores to try them is taken away again; packages and IDLs that are
downloaded are kept, as the stages keep them. Without nats.url, the embedded server is started for the checks, and stopped. Exit code: 0 when nothing failed (warnings are no failures), 1 otherwise.`,
    )
    .action(async (names: string[], options: { offline?: boolean; natsMonitor?: string }, command: Command) => {
      const { config, json } = context.load(command);
      const groups = names.length === 0 ? GROUPS : names.map((name) => oneOf("doctor", name, GROUPS));
      const code = await examine(
        { config, groups, json, offline: options.offline === true, monitor: options.natsMonitor ?? null },
        context,
      );
      context.setExitCode(code);
    });
}

export interface DoctorOptions {
  readonly config: Config;
  readonly groups: readonly Group[];
  readonly json: boolean;
  readonly offline: boolean;
  readonly monitor: string | null;
}

/** Runs the checks one after the other, so that a line says what is looked at now; resolves to the exit code. */
export async function examine(options: DoctorOptions, io: CommandIo): Promise<number> {
  const { groups, json, config } = options;
  const { data, hot, lake } = folders(config);
  const made = missingFolders([data, hot, join(lake, "doctor")]);
  const { checks, close } = await checksFor(options);
  const wanted = checks.filter((check) => groups.some((group) => group === check.group));
  const tell = (result: CheckResult) => {
    if (!json) io.stdout.write(lineOf(result, io.stdout));
  };
  const results = await runChecks(wanted, CHECK_TIMEOUT_MS, tell)
    .finally(close)
    .finally(() => removeEmpty(made));
  const failed = results.filter((r) => r.state === "fail").length;
  if (json) io.stdout.write(`${toJson({ ok: failed === 0, checks: results })}\n`);
  else io.stdout.write(`\n${summaryOf(results)}\n`);
  return failed === 0 ? EXIT.ok : EXIT.failed;
}

async function checksFor(options: DoctorOptions): Promise<{ checks: Check[]; close(): Promise<void> }> {
  const { config, offline, monitor } = options;
  const [{ natsChecks, natsClock }, { endpointClock, sourceChecks }, { lakeChecks }] = await Promise.all([
    import("./doctor/nats.ts"),
    import("./doctor/source.ts"),
    import("./doctor/lake.ts"),
  ]);
  let opened: Promise<{ broker: Broker; close(): Promise<void> }> | null = null;
  let ownServer: string | null = null;
  const broker = async () => {
    // Where no embedded server has ever run, one runs elsewhere: the deployment's folder stays as it is.
    if (opened === null && config["nats.url"] === "" && !existsSync(folders(config).nats))
      ownServer = mkdtempSync(join(tmpdir(), "sluice-doctor-"));
    const where = ownServer === null ? config : { ...config, "data.dir": ownServer };
    opened ??= import("./deployment.ts").then(({ connectBroker }) =>
      connectBroker(where, `sluice-doctor-${process.pid}`),
    );
    return (await opened).broker;
  };
  const clocks = once(() =>
    askClocks([
      // The embedded server has the clock of this host.
      ...(config["nats.url"] === "" ? [] : [async () => natsClock(await broker())]),
      ...(offline ? [] : [() => endpointClock(config)]),
    ]),
  );
  const checks = [
    ...hostChecks(config, clocks),
    ...natsChecks({ config, broker, monitor }),
    ...sourceChecks({ config, offline }),
    ...lakeChecks(lakeProbe(config)),
    { group: "api", name: "port", run: () => apiPort(config) },
  ];
  const close = async () => {
    await opened?.then((connection) => connection.close()).catch(() => undefined);
    if (ownServer !== null) await rm(ownServer, { recursive: true, force: true });
  };
  return { checks, close };
}

function lakeProbe(config: Config): LakeProbe {
  const store = async () => (await import("./lake.ts")).lakeStore(config);
  if (config["lake.url"] === "") return { store };
  const bucket = {
    conditionalWrites: config["lake.s3.conditionalWrites"],
    mayCreate: config["lake.s3.createBucket"],
    probe: async () => (await import("./lake.ts")).probeLake(config, false),
  };
  return { store, bucket };
}

/** A clock that cannot be asked is not missed here: the check of its own group says what is wrong. */
async function askClocks(ask: readonly (() => Promise<Clock | null>)[]): Promise<Clock[]> {
  const answers = await Promise.allSettled(ask.map((one) => one()));
  return answers.flatMap((answer) => (answer.status === "fulfilled" && answer.value !== null ? [answer.value] : []));
}

async function apiPort(config: Config) {
  const [host, port] = [config["api.host"], config["api.port"]];
  const [{ mustHaveToken }, { TokenFile }] = await Promise.all([
    import("../api/access/access.ts"),
    import("../api/access/tokens.ts"),
  ]);
  mustHaveToken(host, new TokenFile(tokensPath(config), systemWorld));
  const { promise, resolve } = Promise.withResolvers<NodeJS.ErrnoException | null>();
  const server = createServer();
  server.once("error", resolve);
  server.listen(port, host.replace(/^\[|\]$/g, ""), () => server.close(() => resolve(null)));
  const error = await promise;
  if (error === null) return ok(`${host}:${port} is free`);
  const answers = await fetch(`http://${host}:${port}/v1/openapi.json`, { signal: AbortSignal.timeout(2_000) }).catch(
    () => null,
  );
  if (answers?.ok === true) return ok(`${host}:${port}: an API of ours listens there already`);
  return fail(
    `${host}:${port} cannot be had: ${error.code ?? error.message}`,
    "Choose another port with API_PORT or --set api.port=N; 0 picks a free one.",
  );
}

const MARKS: Readonly<Record<CheckState, readonly [mark: string, style: "green" | "yellow" | "red" | "dim"]>> = {
  ok: ["ok  ", "green"],
  warn: ["warn", "yellow"],
  fail: ["FAIL", "red"],
  skip: ["skip", "dim"],
};

function lineOf({ state, group, name, evidence, fix }: CheckResult, out: Output): string {
  const [mark, style] = MARKS[state];
  const line = `${paint(out, style, mark)}  ${`${group}: ${name}`.padEnd(26)}  ${evidence}\n`;
  return fix === undefined ? line : `${line}${" ".repeat(6)}${paint(out, "bold", "fix:")} ${fix}\n`;
}

function summaryOf(results: readonly CheckResult[]): string {
  const count = (state: CheckState) => results.filter((r) => r.state === state).length;
  const bad = count("fail");
  const verdict =
    bad === 0 ? "Nothing stands in the way." : `${bad} ${bad === 1 ? "check has" : "checks have"} failed.`;
  return `${verdict} ${count("ok")} ok, ${count("warn")} warnings, ${count("skip")} skipped.`;
}
