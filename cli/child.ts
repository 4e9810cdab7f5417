/** Other sluice commands as child processes: the demo and the longer tests run the product the way its users do. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Fatal } from "../pipeline/errors.ts";

const MAIN = join(import.meta.dir, "..", "main.ts");

export interface Child {
  readonly pid: number;
  readonly exited: Promise<number>;
  readonly exitCode: number | null;
  kill(signal?: NodeJS.Signals): void;
  /** Asks it to end and waits; kills it when it takes too long. */
  stop(): Promise<number>;
}

export interface ChildOptions {
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** File that takes its messages. */
  readonly logFile: string;
}

/** Starts `sluice ...args`. Its stdout is not read. */
export function startChild(options: ChildOptions): Child {
  return wrap(spawn(options, "ignore"));
}

/** Starts `sluice ...args` and waits for the first line on stdout, which must be JSON: "I am ready, and here". */
export async function startService<Ready>(options: ChildOptions): Promise<Child & { readonly ready: Ready }> {
  const process = spawn(options, "pipe");
  let text = "";
  for await (const piece of process.stdout as ReadableStream<Uint8Array>) {
    text += Buffer.from(piece).toString();
    const end = text.indexOf("\n");
    if (end >= 0) return Object.assign(wrap(process), { ready: JSON.parse(text.slice(0, end)) as Ready });
  }
  throw new Fatal(
    "CHILD_START",
    `sluice ${options.args[0]} ended before it was ready (exit code ${await process.exited})`,
    {
      where: options.logFile,
      hint: lastLines(options.logFile, 3),
    },
  );
}

/** Peak resident memory of a process, MB (10^6 bytes); 0 where the system does not tell or the process is gone. */
export function peakRssMb(pid: number): number {
  try {
    const line = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"));
    return line === null ? 0 : Math.round((Number(line[1]) * 1024) / 1e6);
  } catch {
    return 0;
  }
}

export function lastLines(file: string, count: number): string {
  try {
    return readFileSync(file, "utf8").trimEnd().split("\n").slice(-count).join("\n");
  } catch {
    return "";
  }
}

function spawn(options: ChildOptions, stdout: "ignore" | "pipe") {
  const log = Bun.file(options.logFile);
  return Bun.spawn([process.execPath, MAIN, ...options.args], {
    stdin: "ignore",
    stdout,
    stderr: log,
    env: { ...process.env, ...options.env },
  });
}

function wrap(child: ReturnType<typeof spawn>): Child {
  const stopAfterMs = 15_000;
  return {
    pid: child.pid,
    exited: child.exited,
    get exitCode() {
      return child.exitCode;
    },
    kill: (signal = "SIGTERM") => child.kill(signal),
    async stop() {
      child.kill("SIGTERM");
      const timer = setTimeout(() => child.kill("SIGKILL"), stopAfterMs);
      const code = await child.exited;
      clearTimeout(timer);
      return code;
    },
  };
}
