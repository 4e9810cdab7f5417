/** The backend of a deployment: reads what processes report in NATS KV. Bounded in time, and asked twice a second at most. */
import type { Control, Desired, Standing } from "../pipeline/control.ts";
import { classify, Transient } from "../pipeline/errors.ts";
import { systemWorld, type World } from "../pipeline/world.ts";
import type { Backend, Snapshot } from "./backend.ts";

/** Age up to which an answer is given again, ms. */
const CACHE_MS = 500;
/** How long the broker may take, ms. Less than the patience of whoever probes us. */
const ANSWER_WITHIN_MS = 3_000;

export interface ControlBackendOptions {
  readonly control: Pick<Control, "nodes" | "desired" | "setDesired" | "standing">;
  readonly source: string;
  readonly settingsName?: string;
  /** Names of the units, as `names()` of the topology gives them. */
  readonly ingestUnit: string;
  readonly laneUnits: readonly string[];
  readonly world?: Pick<World, "now">;
  readonly answerWithinMs?: number;
}

export class ControlBackend implements Backend {
  readonly source: string;
  readonly settingsName: string;
  readonly ingestUnit: string;
  readonly laneUnits: readonly string[];
  private readonly control: ControlBackendOptions["control"];
  private readonly world: Pick<World, "now">;
  private readonly answerWithinMs: number;
  private cached: { readonly at: number; readonly snapshot: Promise<Snapshot> } | null = null;

  constructor(options: ControlBackendOptions) {
    this.source = options.source;
    this.settingsName = options.settingsName ?? options.source;
    this.ingestUnit = options.ingestUnit;
    this.laneUnits = options.laneUnits;
    this.control = options.control;
    this.world = options.world ?? systemWorld;
    this.answerWithinMs = options.answerWithinMs ?? ANSWER_WITHIN_MS;
  }

  snapshot(fresh = false): Promise<Snapshot> {
    const at = this.world.now();
    const cached = this.cached;
    if (!fresh && cached !== null && at - cached.at < CACHE_MS) return cached.snapshot;
    const entry = { at, snapshot: this.within(this.read()) };
    this.cached = entry;
    return entry.snapshot;
  }

  async setDesired(desired: Desired): Promise<void> {
    await this.within(this.control.setDesired(this.source, desired));
    this.cached = null;
  }

  private async read(): Promise<Snapshot> {
    const { control, source } = this;
    const [nodes, desired, standings] = await Promise.all([control.nodes(), control.desired(source), this.standings()]);
    return { at: this.world.now(), nodes, desired, standings };
  }

  private async standings(): Promise<Map<string, Standing>> {
    const units = [this.ingestUnit, ...this.laneUnits];
    const found = await Promise.all(units.map((unit) => this.control.standing(unit)));
    const known = new Map<string, Standing>();
    units.forEach((unit, i) => {
      const standing = found[i];
      if (standing) known.set(unit, standing);
    });
    return known;
  }

  /** Whatever the client throws, and silence, become a `SluiceError`. */
  private async within<T>(answer: Promise<T>): Promise<T> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const silence = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        const message = `the broker did not answer within ${this.answerWithinMs} ms`;
        reject(
          new Transient("BROKER_SILENT", message, { hint: "Check that the NATS server runs and can be reached." }),
        );
      }, this.answerWithinMs);
    });
    try {
      return await Promise.race([answer, silence]);
    } catch (error) {
      const known = classify(error);
      if (known.code !== "UNEXPECTED") throw known;
      // The client's own errors: a closed connection, no responders, a bucket that is being made.
      throw new Transient("BROKER_UNAVAILABLE", `the broker did not answer: ${known.message}`, { cause: error });
    } finally {
      clearTimeout(timer);
    }
  }
}
