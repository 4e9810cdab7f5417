/**
 * The market simulator: recordings of a chain that never was, with every nuisance of the real one, and the truth about
 * them. Nothing here uses the pipeline's decoding, folding or storage, so that the two can be held against each other.
 */
import { type RecordingTotals, RecordingWriter } from "../pipeline/source/recording.ts";
import { type SimulatedMessage, Simulation, type SimulationOptions, type Truth } from "./simulation.ts";

export { INTERVALS, type Interval } from "./candles.ts";
export { GROWN_FIELDS, type GrownAt } from "./events.ts";
export { canonicalLine, type DatasetDigest, LineDigest } from "./lines.ts";
export { buildDemoPackage } from "./package.ts";
export { PROFILES, type Profile, type Rates } from "./profiles.ts";
export { OUTPUTS, type OutputKind } from "./response.ts";
export * from "./simulation.ts";
export type { MintTruth, OrderTruth } from "./truth.ts";

/** The messages of a simulation, one at a time. The generator returns the truth, or null when that is switched off. */
export function* simulate(options: SimulationOptions): Generator<SimulatedMessage, Truth | null> {
  const simulation = new Simulation(options);
  yield* simulation.messages();
  return options.truth === false ? null : simulation.truth();
}

export interface WrittenSimulation extends Truth {
  readonly recording: RecordingTotals;
}

/** Writes a recording to `out` and returns the truth about it. On failure nothing is left behind. */
export async function writeSimulation(
  options: SimulationOptions & {
    readonly out: string;
    readonly truth?: true | "lines";
    /** Called for each message once it is written. */
    readonly onMessage?: (message: SimulatedMessage) => void;
  },
): Promise<WrittenSimulation> {
  const simulation = new Simulation(options);
  const writer = RecordingWriter.toFile(options.out);
  try {
    for (const message of simulation.messages()) {
      await writer.append(message.response);
      options.onMessage?.(message);
    }
    const recording = await writer.finish();
    return { ...simulation.truth(), recording };
  } catch (error) {
    await writer.abort();
    throw error;
  }
}
