/**
 * Goal: a command that is told to end takes its embedded nats-server with it, also when one word reaches it twice, as from a
 * terminal or from `timeout`. Method: real commands in process groups of their own; signals to the group; then it is looked
 * which processes are left.
 */
import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { processesOf, until, useGround } from "./ground.ts";

const ground = useGround();

const COMMANDS: readonly (readonly string[])[] = [
  ["api", "--port", "0"],
  ["logs", "--follow"],
  ["stages", "janitor"],
];
const SIGNALS = ["SIGINT", "SIGTERM"] as const;

test.each(COMMANDS.flatMap((args) => SIGNALS.map((signal) => ({ signal, args }))))(
  "$signal, twice, to $args",
  async ({ signal, args }) => {
    const data = ground.path("data");
    const command = ground.start(["--data", data, ...args], { ownGroup: true });
    await until("the server", () => existsSync(`${data}/nats/server.json`) && processesOf(data).length > 1);
    if (args[0] === "api") await until("the URL", () => command.stdout.includes("http://"));
    const group = -command.child.pid;
    process.kill(group, signal);
    const toldAt = performance.now();
    // `timeout` tells its child and then the group: two words, a moment apart; one that comes late would be another.
    await Bun.sleep(20);
    if (command.child.exitCode === null && performance.now() - toldAt < 500) process.kill(group, signal);
    const { code } = await command.finished;
    expect({ code, left: processesOf(data) }).toEqual({ code: 0, left: [] });
  },
  300_000,
);

test("a command that does not listen", async () => {
  const data = ground.path("data");
  const command = ground.start(["--data", data, "doctor", "nats", "lake"], { ownGroup: true });
  await until("the first check", () => command.stdout.includes("nats: server"));
  if (command.child.exitCode === null) process.kill(-command.child.pid, "SIGTERM");
  await command.finished;
  expect(processesOf(data)).toEqual([]);
}, 300_000);
