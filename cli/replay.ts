/** `sluice replay`: serves a recording on loopback the way a Substreams provider would, until it is told to stop. */
import type { Command } from "commander";
import { Fatal } from "../pipeline/errors.ts";
import { FAULTS, type Fault, parseFault } from "../pipeline/source/faults.ts";
import type { Protocol } from "../pipeline/source/rpc.ts";
import { systemWorld } from "../pipeline/world.ts";
import { endWithParent } from "./child.ts";
import { type CliContext, oneOf, wholeNumber } from "./context.ts";
import { type CommandIo, toJson } from "./output.ts";
import { formatNumber } from "./progress-line.ts";
import { stopWhenTold } from "./signals.ts";

interface Options {
  readonly host: string;
  readonly port: string;
  readonly blocksPerSecond: string;
  readonly protocol: string;
  readonly token?: string;
  readonly gzip: boolean;
  readonly endAtEof?: boolean;
  readonly chain: string;
  readonly fault: readonly string[];
}

export function register(program: Command, context: CliContext): void {
  program
    .command("replay")
    .description("serve a recording as a Substreams endpoint on this machine")
    .argument("<file>", "recording, as `sluice record` and `sluice simulate` write it")
    .option("--host <address>", "loopback address to listen on", "127.0.0.1")
    .option("--port <port>", "port to listen on; 0 picks a free one", "9000")
    .option("--blocks-per-second <n>", "per client; 0: as fast as it reads; fractions are fine (live Solana: 2.5)", "0")
    .option("--protocol <versions>", "versions of the protocol to speak, separated by commas", "v4,v3,v2")
    .option("--token <token>", "token or API key that clients must bring (default: none)")
    .option("--no-gzip", "never compress")
    .option("--end-at-eof", "end streams at the end of the recording instead of staying open")
    .option("--chain <name>", 'chain that it says it serves; "none": it does not say', "solana-mainnet-beta")
    .option("--fault <what>", "KIND@SLOT[xTIMES], may be repeated; see below", collect, [])
    .addHelpText(
      "after",
      `
Examples:
  sluice replay chain.zst
  sluice replay chain.zst --fault disconnect@+100x3 --fault fork@370500200
  sluice replay chain.zst --port 0 --blocks-per-second 2.5 --json
  sluice stages --set source.endpoint=http://127.0.0.1:9000 --set source.startBlock=0

The first line on stdout says where it listens; the port is open by then.

Faults strike before the first block at or after SLOT, or +N slots after the first of the recording; xTIMES: so often.
${faultList()}`,
    )
    .action(async (file: string, options: Options, command: Command) => {
      const { json } = context.load(command);
      endWithParent();
      const stop = new AbortController();
      stopWhenTold(stop);
      await serveRecording({ ...parsed(options), file, json }, context, stop.signal);
    });
}

export interface ServeOptions {
  readonly file: string;
  readonly host: string;
  readonly port: number;
  readonly blocksPerSecond: number;
  readonly protocols: readonly Protocol[];
  readonly token: string | null;
  readonly gzip: boolean;
  readonly endAtEof: boolean;
  readonly chain: string | null;
  readonly plan: readonly Fault[];
  readonly json: boolean;
}

function collect(value: string, previous: readonly string[]): string[] {
  return [...previous, value];
}

function faultList(): string {
  return Object.entries(FAULTS)
    .map(([kind, effect]) => `  ${kind.padEnd(12)}${effect}`)
    .join("\n");
}

function parsed(options: Options): Omit<ServeOptions, "file" | "json"> {
  const versions = options.protocol.split(",").map((word) => word.trim());
  return {
    host: options.host,
    port: wholeNumber("--port", options.port, 0, 65_535),
    blocksPerSecond: rate(options.blocksPerSecond),
    protocols: versions.map((word) => oneOf<Protocol>("--protocol", word, ["v4", "v3", "v2"])),
    token: options.token ?? null,
    gzip: options.gzip,
    endAtEof: options.endAtEof === true,
    chain: options.chain === "none" ? null : options.chain,
    plan: options.fault.map(parseFault),
  };
}

function rate(text: string): number {
  if (/^\d{1,9}(\.\d{1,6})?$/.test(text)) return Number(text);
  throw new Fatal("USAGE", `--blocks-per-second takes a number from 0, not ${JSON.stringify(text.slice(0, 40))}`);
}

/** Serves until `signal` aborts. */
export async function serveRecording(options: ServeOptions, { stdout, stderr }: CommandIo, signal: AbortSignal) {
  const { serveReplay } = await import("../pipeline/source/replay.ts");
  const { file, host, port, blocksPerSecond, protocols, token, gzip, endAtEof, chain, plan } = options;
  const replay = await serveReplay({
    recording: file,
    ...{ host, port, protocols, gzip, blocksPerSecond, endAtEof, chain, plan },
    requireToken: token,
    progressMs: 1_000,
    world: systemWorld,
  });
  try {
    const { first, last, module } = replay;
    const name = host.includes(":") ? `[${host.replace(/^\[|\]$/g, "")}]` : host;
    const endpoint = `http://${name}:${replay.port}`;
    const where = { endpoint, port: replay.port, first, last, module };
    stdout.write(options.json ? `${toJson(where, 0)}\n` : `${endpoint}\n`);
    stderr.write(`serving ${file}: ${module}, slots ${formatNumber(first)} to ${formatNumber(last)}\n`);
    for (const { kind, at, relative } of plan) {
      if ((relative ? first + at : at) <= last) continue;
      stderr.write(`${kind}@${relative ? "+" : ""}${at} will not strike: the recording ends before it\n`);
    }
    await aborted(signal);
  } finally {
    await replay.close();
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
