/**
 * What the end-to-end tests stand on: a folder of their own, commands run as users run them, and an end that leaves no
 * process and no file behind, whatever a test did or failed to do.
 */
import { afterEach, beforeEach, expect } from "bun:test";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

export const ROOT = join(import.meta.dir, "..", "..");
const MAIN = join(ROOT, "main.ts");

export interface Finished {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** In a session of its own, so that a signal to its group reaches what it started too, as Ctrl-C does. */
  readonly ownGroup?: boolean;
}

/** A running `sluice ...args`. */
export class Command {
  readonly child: Bun.Subprocess<"ignore", "pipe", "pipe">;
  /** Settles when it has ended and all it said was read. */
  readonly finished: Promise<Finished>;
  stdout = "";
  stderr = "";

  constructor(args: readonly string[], options: RunOptions = {}) {
    this.child = Bun.spawn([process.execPath, MAIN, ...args], {
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
      env: { ...process.env, ...options.env },
      detached: options.ownGroup === true,
    });
    const reading = [
      this.collect(this.child.stdout, (text) => {
        this.stdout += text;
      }),
      this.collect(this.child.stderr, (text) => {
        this.stderr += text;
      }),
    ];
    this.finished = Promise.all([this.child.exited, ...reading]).then(([code]) => ({
      code,
      stdout: this.stdout,
      stderr: this.stderr,
    }));
  }

  private async collect(stream: ReadableStream<Uint8Array>, add: (text: string) => void): Promise<void> {
    const decoder = new TextDecoder();
    for await (const piece of stream) add(decoder.decode(piece, { stream: true }));
  }
}

export interface Ground {
  /** Exists while a test runs. */
  readonly folder: string;
  path(...parts: string[]): string;
  /** Starts a command; it is killed at the end of the test if it is still there. */
  start(args: readonly string[], options?: RunOptions): Command;
  /** Runs a command to its end. */
  run(args: readonly string[], options?: RunOptions): Promise<Finished>;
  /** Done after the test, the last one first. */
  atEnd(action: () => unknown): void;
}

/** Lays a new ground for every test of the file. */
export function useGround(): Ground {
  let folder = "";
  const actions: (() => unknown)[] = [];
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "sluice-e2e-"));
  });
  afterEach(async () => {
    for (const action of actions.splice(0).reverse()) await Promise.resolve(action()).catch(() => undefined);
    await killAll(folder);
    await rm(folder, { recursive: true, force: true });
  }, 300_000);
  const ground: Ground = {
    get folder() {
      return folder;
    },
    path: (...parts) => join(folder, ...parts),
    start(args, options) {
      const command = new Command(args, options);
      actions.push(() => {
        command.child.kill("SIGKILL");
        return command.child.exited;
      });
      return command;
    },
    run: (args, options) => ground.start(args, options).finished,
    atEnd: (action) => void actions.push(action),
  };
  return ground;
}

/** Processes whose command line names the folder: whatever was started for it, by whomever. */
export function processesOf(folder: string): { readonly pid: number; readonly command: string }[] {
  const all = existsSync("/proc/self/cmdline") ? fromProc() : fromPs();
  return all.filter(({ pid, command }) => pid !== process.pid && command.includes(folder));
}

function fromProc(): { pid: number; command: string }[] {
  const pids = readdirSync("/proc").map(Number).filter(Number.isInteger);
  return pids.map((pid) => ({ pid, command: commandOf(pid) }));
}

function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
  } catch {
    // It has ended since it was listed.
    return "";
  }
}

function fromPs(): { pid: number; command: string }[] {
  const lines = Bun.spawnSync(["ps", "-axww", "-o", "pid=,command="]).stdout.toString().trim().split("\n");
  return lines.map((line) => ({ pid: Number.parseInt(line, 10), command: line }));
}

/** Again until none is left: who is killed may have started another the moment before. */
async function killAll(folder: string): Promise<void> {
  for (let left = processesOf(folder); left.length > 0; left = processesOf(folder)) {
    for (const { pid } of left) {
      try {
        process.kill(pid, "SIGKILL");
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
      }
    }
    await Bun.sleep(20);
  }
}

/** Where nothing at all has moved for so long, nothing will, however busy the machine is. */
export const PATIENCE_MS = 120_000;

type Found<T> = T | null | undefined | false;

/**
 * Asks until `answer` gives something. Gives up, saying what was waited for and what stands still, when `progress` has
 * said the same all through our patience.
 */
export async function until<T>(
  what: string,
  answer: () => Promise<Found<T>> | Found<T>,
  progress: () => Promise<string> | string = () => "",
): Promise<T> {
  let before = "";
  let movedAt = performance.now();
  for (;;) {
    const found = await answer();
    if (found !== null && found !== undefined && found !== false) return found;
    const stands = await progress();
    if (stands !== before) movedAt = performance.now();
    before = stands;
    if (performance.now() - movedAt > PATIENCE_MS) {
      throw new Error(`waited for ${what}; nothing has moved for ${PATIENCE_MS / 1000} s\n${stands}`);
    }
    await Bun.sleep(50);
  }
}

export interface Answer {
  readonly code: number;
  /** What the JSON says; text where it is none. */
  readonly body: unknown;
}

/** Starts `sluice api` in a process of its own and gives a way to ask it. */
export async function apiOf(ground: Ground, settings: readonly string[]) {
  const url = await urlOfApi(ground, settings);
  const ask = async (method: "GET" | "POST", path: string): Promise<Answer> => {
    const answer = await fetch(`${url}${path}`, { method });
    const isJson = answer.headers.get("content-type")?.includes("json") === true;
    return { code: answer.status, body: isJson ? await answer.json() : await answer.text() };
  };
  /**
   * What it comes to say to who asks again: reports take a second, and on a busy machine it may first say that the broker
   * is silent, or that nobody has obeyed yet.
   */
  const says = async (method: "GET" | "POST", path: string, expected: object): Promise<Answer> => {
    let last: Answer | null = null;
    const agreed = until(`the wanted answer to ${method} ${path}`, async () => {
      last = await ask(method, path);
      return agrees(last, expected) && last;
    });
    return agreed.catch((error: Error) => {
      // The difference is what is of interest.
      expect(last).toMatchObject(expected);
      throw error;
    });
  };
  return Object.assign(ask, { says });
}

function agrees(answer: Answer, expected: object): boolean {
  try {
    expect(answer).toMatchObject(expected);
    return true;
  } catch {
    return false;
  }
}

/** Starts `sluice api` in a process of its own and gives its URL. */
export async function urlOfApi(ground: Ground, settings: readonly string[]): Promise<string> {
  const command = ground.start(["api", "--port", "0", "--json", ...settings.flatMap((s) => ["--set", s])]);
  const ready = await until("the API's URL", () => {
    if (command.child.exitCode !== null) throw new Error(`sluice api has ended: ${command.stderr}`);
    return /^\{.*\}\n/.exec(command.stdout)?.[0];
  });
  return (JSON.parse(ready) as { url: string }).url;
}
