/** For tests of what others do while a process sleeps. */

/**
 * Stops a process with SIGSTOP and waits until it has stopped: the signal takes effect in its own time, and on a busy machine
 * the process works on for a while.
 */
export async function freeze(pid: number): Promise<void> {
  process.kill(pid, "SIGSTOP");
  for (let state = stateOf(pid); !state.startsWith("T"); state = stateOf(pid)) {
    if (state === "") throw new Error(`process ${pid} has ended`);
    await Bun.sleep(1);
  }
}

/** As `ps` tells it: "T" and more when it is stopped; empty when there is no such process. */
function stateOf(pid: number): string {
  const { stdout } = Bun.spawnSync(["ps", "-o", "stat=", "-p", String(pid)]);
  return stdout.toString().trim();
}
