/** Work that goes on beside other work: they end together, and the first error of any of them is the error of all. */
import { Shutdown } from "./errors.ts";

/** Runs `main` and others beside it until `main` ends; one of them that fails ends all, and its error is thrown. */
export async function together(
  signal: AbortSignal,
  beside: readonly ((signal: AbortSignal) => Promise<void>)[],
  main: (signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const stop = new AbortController();
  const failures: unknown[] = [];
  const fail = (error: unknown) => {
    if (!(error instanceof Shutdown)) failures.push(error);
    stop.abort(new Shutdown());
  };
  const all = beside.map((run) => run(AbortSignal.any([signal, stop.signal])).catch(fail));
  await main(AbortSignal.any([signal, stop.signal])).catch(fail);
  stop.abort(new Shutdown());
  await Promise.all(all);
  if (failures.length > 0) throw failures[0];
}
