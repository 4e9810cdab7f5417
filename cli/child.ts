/** Other sluice commands as child processes: the demo and the longer tests run the product the way its users do. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { SETTING_VARIABLES } from "../pipeline/config.ts";
import { Fatal } from "../pipeline/errors.ts";

const MAIN = join(import.meta.dir, "..", "main.ts");
/** Names the process that a child belongs to. */
const PARENT_VARIABLE = "SLUICE_PARENT";
const LOOK_FOR_PARENT_MS = 500;

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
  /** On top of our environment, from which settings are left out: a child is told all of them by whoever starts it. */
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

/** To be called by commands that run as children: they end when their parent is gone, even when it was killed. */
export function endWithParent(): void {
  const parent = Number(process.env[PARENT_VARIABLE] ?? "");
  if (!Number.isInteger(parent) || parent <= 0) return;
  const looking = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(looking);
    process.kill(process.pid, "SIGTERM");
  }, LOOK_FOR_PARENT_MS);
  looking.unref();
}

function spawn(options: ChildOptions, stdout: "ignore" | "pipe") {
  const inherited = Object.entries(process.env).filter(([name]) => !SETTING_VARIABLES.has(name));
  return Bun.spawn([process.execPath, "--smol", MAIN, ...options.args], {
    stdin: "ignore",
    stdout,
    stderr: Bun.file(options.logFile),
    env: { ...Object.fromEntries(inherited), [PARENT_VARIABLE]: String(process.pid), ...options.env },
    // Ctrl-C is for us: we end our children in order, and the terminal must not end them as well.
    detached: true,
  });
}

function wrap(child: ReturnType<typeof spawn>): Child {
  // Longer than an orderly stop may take: who does not come to its end leaves by itself before that.
  const stopAfterMs = 30_000;
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
