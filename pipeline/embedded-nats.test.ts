/**
 * One folder, one server. Goal: however many processes start, notice that the server died, or are killed while they start
 * it, there is never a second server on the folder (two on one JetStream store destroy it), and one is there soon. Method:
 * real servers, counted among the machine's processes; starters that race, and starters killed half-way.
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freeze } from "../test/freeze.ts";
import {
  type EmbeddedNats,
  ensureEmbeddedNats,
  isAlive,
  natsServerBinary,
  releaseEmbeddedNats,
} from "./embedded-nats.ts";
import { systemWorld } from "./world.ts";

let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "sluice-embedded-"));
});
afterEach(async () => {
  for (const pid of servers()) process.kill(pid, "SIGKILL");
  await rm(folder, { recursive: true, force: true });
});

/** Live servers of the folder, whoever started them. */
function servers(): number[] {
  const { stdout } = Bun.spawnSync(["ps", "-axww", "-o", "pid=,command="]);
  const lines = stdout.toString().split("\n");
  const ours = lines.filter((line) => line.includes("nats-server") && line.includes(`${folder}/nats-server.conf`));
  return ours.map((line) => Number.parseInt(line, 10)).filter(isAlive);
}

const ensure = () => ensureEmbeddedNats(folder, systemWorld);
/** As many as there are processes on a busy folder. */
const race = (): Promise<EmbeddedNats[]> => Promise.all(Array.from({ length: 8 }, ensure));

describe("one server", () => {
  test("for all who start at once", async () => {
    const found = await race();
    expect(servers()).toHaveLength(1);
    expect(new Set(found.map((server) => server.url)).size).toBe(1);
  });

  test("for all who notice that it died; on its port, with its secret", async () => {
    const before = await ensure();
    for (let round = 0; round < 3; round++) {
      process.kill(servers()[0]!, "SIGKILL");
      for (const server of await race()) expect(server).toMatchObject({ url: before.url, token: before.token });
      expect(servers()).toHaveLength(1);
    }
  });

  test("after it was started by somebody who was killed before he could tell", async () => {
    const script = join(folder, "starter.ts");
    const modules = [join(import.meta.dir, "embedded-nats.ts"), join(import.meta.dir, "world.ts")].map((m) =>
      JSON.stringify(m),
    );
    await writeFile(
      script,
      `import { ensureEmbeddedNats } from ${modules[0]}; import { systemWorld } from ${modules[1]};
       await ensureEmbeddedNats(process.argv[2], systemWorld);`,
    );
    for (const afterMs of [0, 2, 5, 10, 20, 40, 80]) {
      const starter = Bun.spawn([process.execPath, script, folder], { stdout: "ignore", stderr: "inherit" });
      while (starter.exitCode === null && servers().length === 0) await Bun.sleep(1);
      await Bun.sleep(afterMs);
      starter.kill("SIGKILL");
      await starter.exited;
      const server = await ensure();
      expect(servers()).toEqual([server.pid]);
      process.kill(server.pid, "SIGKILL");
    }
  });

  test("when it is alive but silent: it is ended before another one takes its place", async () => {
    const { pid } = await ensure();
    await freeze(pid);
    // No patience with the silent one; the next may take its time.
    const hasty = { ...systemWorld, monotonic: () => (isAlive(pid) ? 10 : 1) * systemWorld.monotonic() };
    const next = await ensureEmbeddedNats(folder, hasty);
    expect(next.pid).not.toBe(pid);
    expect(servers()).toEqual([next.pid]);
  }, 300_000);
});

test("whose port is taken in the last moment starts on another one", async () => {
  const given = process.env["SLUICE_NATS_SERVER"];
  const real = natsServerBinary();
  const binary = join(folder, "nats-server-late");
  // Twice somebody else is quicker.
  const script = `#!/bin/sh
if [ "$(grep -c taken ${folder}/tries)" -lt 2 ]; then
  echo taken >> ${folder}/tries
  echo '[1] [FTL] Error listening on port: "listen tcp 127.0.0.1:1: bind: address already in use"' >&2
  exit 1
fi
exec ${real} "$@"
`;
  await writeFile(join(folder, "tries"), "");
  await writeFile(binary, script, { mode: 0o700 });
  process.env["SLUICE_NATS_SERVER"] = binary;
  try {
    const { pid } = await ensure();
    expect(isAlive(pid)).toBe(true);
    expect(await readFile(join(folder, "tries"), "utf8")).toBe("taken\ntaken\n");
    await releaseEmbeddedNats(folder, systemWorld);
    // Who is never let in gives up, and says what the server said.
    await writeFile(binary, script.replace("-lt 2", "-lt 99"));
    expect(await ensure().catch((error) => error)).toMatchObject({
      code: "NATS_EMBEDDED_START",
      kind: "transient",
      hint: expect.stringContaining("address already in use"),
    });
  } finally {
    if (given === undefined) delete process.env["SLUICE_NATS_SERVER"];
    else process.env["SLUICE_NATS_SERVER"] = given;
  }
}, 300_000);

test("a stranger with the pid that the server once had is left alone", async () => {
  const { pid, url } = await ensure();
  process.kill(pid, "SIGKILL");
  const file = join(folder, "server.json");
  const stranger = Bun.spawn(["sleep", "60"]);
  await writeFile(file, JSON.stringify({ ...JSON.parse(await readFile(file, "utf8")), pid: stranger.pid }));
  expect((await ensure()).url).toBe(url);
  expect(stranger.exitCode).toBeNull();
  stranger.kill();
});

test("the last to leave stops it", async () => {
  await ensure();
  await releaseEmbeddedNats(folder, systemWorld);
  expect(servers()).toEqual([]);
});
