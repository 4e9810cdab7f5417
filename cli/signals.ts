/**
 * How commands end when they are told to, by SIGINT or SIGTERM. One word may come twice: a terminal and `timeout` tell the
 * whole process group, and whoever started us passes it on. What is told again must not cut off an orderly end: that
 * would leave work half done, and the embedded nats-server behind.
 */
import { constants } from "node:os";
import { Shutdown } from "../pipeline/errors.ts";
import { logFor } from "../pipeline/log.ts";

const SIGNALS = ["SIGINT", "SIGTERM"] as const;
type EndSignal = (typeof SIGNALS)[number];

/** What comes so soon is the same word again; a Ctrl-C after that is meant. */
const SAME_WORD_MS = 1_000;
/** Words that came while the process was too busy to hear them are heard within so long of its being free. */
const HEARD_MS = 100;

export interface Stopping {
  /** Called once, when it is told. */
  readonly onTold?: (signal: EndSignal) => void;
  /** Longest orderly stop, after which the process leaves as if it had been killed; absent: as long as it takes. */
  readonly withinMs?: number;
}

/** Aborts `stop` when the process is told to end, from now on and for good; a second Ctrl-C ends it at once. */
export function stopWhenTold(stop: AbortController, { onTold, withinMs }: Stopping = {}): void {
  let [isTold, isMeant] = [false, false];
  const onSignal = (signal: EndSignal) => {
    if (isTold) {
      if (signal === "SIGINT" && isMeant) process.exit(exitCodeOf(signal));
      return;
    }
    isTold = true;
    // By timers and not by the clock: what was said at once and is heard late, behind long work, is no second word.
    setTimeout(() => {
      setTimeout(() => {
        isMeant = true;
      }, HEARD_MS).unref();
    }, SAME_WORD_MS).unref();
    onTold?.(signal);
    stop.abort(new Shutdown());
    if (withinMs === undefined) return;
    // Something that never answers (a server that is gone, a disk that hangs) must not keep a process that was told to go.
    setTimeout(() => {
      logFor("main")(
        "error",
        `did not stop within ${withinMs / 1_000} s: leaving as after a kill, which loses nothing`,
      );
      process.exit(1);
    }, withinMs).unref();
  };
  for (const signal of SIGNALS) process.on(signal, onSignal);
}

/** What is to be closed by a process that is told to end while nobody listens. */
const unheard = new Set<() => Promise<void>>();

/**
 * For what must not be left behind even by a command that does not listen: where nobody else does, `close` is called and the
 * process ends. Returns how to take that back.
 */
export function closeWhenTold(close: () => Promise<void>): () => void {
  if (unheard.size === 0) for (const signal of SIGNALS) process.on(signal, onUnheard);
  unheard.add(close);
  return () => {
    unheard.delete(close);
    if (unheard.size === 0) for (const signal of SIGNALS) process.off(signal, onUnheard);
  };
}

function onUnheard(signal: EndSignal): void {
  if (process.listenerCount(signal) > 1) return;
  const closing = [...unheard].map((close) => close());
  unheard.clear();
  if (closing.length > 0) void Promise.allSettled(closing).then(() => process.exit(exitCodeOf(signal)));
}

/** As a shell tells it of a process that a signal has ended. */
function exitCodeOf(signal: EndSignal): number {
  return 128 + constants.signals[signal];
}
