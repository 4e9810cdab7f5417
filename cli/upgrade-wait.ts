/** Waits until a new generation stands where the active one does. */
import { sourceStatusOf } from "../api/details.ts";
import { activeReports } from "../api/view.ts";
import type { Config } from "../pipeline/config.ts";
import type { Control, UnitReport } from "../pipeline/control.ts";
import { Fatal, Transient } from "../pipeline/errors.ts";
import { names } from "../pipeline/names.ts";
import { systemWorld } from "../pipeline/world.ts";
import type { CommandIo } from "./output.ts";
import { formatNumber, ProgressLine } from "./progress-line.ts";

/** Slots that the new one may be behind when it takes over: forty seconds. */
const BEHIND_MAX = 100;
const LOOK_EVERY_MS = 500;
/** How long running processes have to notice a new generation. */
const NOTICE_WITHIN_MS = 30_000;

export interface Waiting {
  readonly old: Config;
  readonly next: Config;
  readonly control: Control;
  readonly io: CommandIo;
  readonly signal: AbortSignal;
}

/** True when it has caught up, false when `signal` aborts. Throws `Fatal` UPGRADE_NOT_RUN, UPGRADE_FAILED. */
export async function untilCaughtUp({ old, next, control, io, signal }: Waiting): Promise<boolean> {
  const line = new ProgressLine(io.stderr);
  const noticeBy = systemWorld.monotonic() + NOTICE_WITHIN_MS;
  try {
    while (!signal.aborted) {
      const seen = await look(old, next, control);
      if (seen !== null) {
        const { units, oldSlot, newSlot } = seen;
        if (units.length === 0 && systemWorld.monotonic() > noticeBy) throw notRun(next);
        mustWork(units);
        if (hasCaughtUp(seen)) return true;
        const waits = waitsForStream(units) ? ", waits for a stream of the provider's (source.maxStreams)" : "";
        line.show(() => `catching up: slot ${format(newSlot)} of ${format(oldSlot)}${waits}`);
      }
      await systemWorld.sleep(LOOK_EVERY_MS, signal).catch(() => undefined);
    }
    return false;
  } finally {
    line.end();
  }
}

interface Seen {
  /** Of the new generation. */
  readonly units: readonly UnitReport[];
  /** The old generation's bounded range is complete. */
  readonly oldEnded: boolean;
  /** Lowest slot that all lanes hold; null before the first block. */
  readonly oldSlot: number | null;
  readonly newSlot: number | null;
}

/** Null: the broker does not answer just now. */
async function look(old: Config, next: Config, control: Control): Promise<Seen | null> {
  try {
    const nodes = await control.nodes();
    const reports = (config: Config) => activeReports(nodes, config["source.name"]).map(({ report }) => report);
    const units = reports(next);
    return {
      units,
      oldEnded: hasEnded(reports(old)),
      oldSlot: await laneSlot(old, control),
      newSlot: await laneSlot(next, control),
    };
  } catch (error) {
    if (error instanceof Transient) return null;
    throw error;
  }
}

function hasCaughtUp({ units, oldEnded, oldSlot, newSlot }: Seen): boolean {
  // A bounded range is whole when it has ended everywhere; what is read is then all there is.
  if (hasEnded(units)) return true;
  return !oldEnded && newSlot !== null && oldSlot !== null && newSlot >= oldSlot - BEHIND_MAX;
}

function hasEnded(units: readonly UnitReport[]): boolean {
  const last = units.filter((unit) => unit.stage === "lane" || unit.stage === "archive");
  return last.length > 0 && last.every((unit) => unit.ended);
}

/** Lowest slot that all lanes durably hold; null while one of them holds nothing. */
export async function laneSlot(config: Config, control: Pick<Control, "standing">): Promise<number | null> {
  const n = names(config["nats.prefix"], config["source.name"]);
  const lanes = Array.from({ length: config.lanes }, (_, lane) => control.standing(n.unit("lane", lane)));
  const slots = (await Promise.all(lanes)).map((standing) => standing?.position?.slot ?? null);
  return slots.includes(null) ? null : Math.min(...(slots as number[]));
}

function waitsForStream(units: readonly UnitReport[]): boolean {
  return units.some((unit) => unit.stage === "ingest" && sourceStatusOf(unit.details)?.state === "waiting");
}

function mustWork(units: readonly UnitReport[]): void {
  const failed = units.find((unit) => unit.state === "failed");
  if (failed === undefined) return;
  const error = failed.errors.at(-1);
  throw new Fatal("UPGRADE_FAILED", `${failed.unit} has failed: ${error?.code}: ${error?.message}`, {
    ...(error?.where === undefined ? {} : { where: error.where }),
    hint: `The active generation goes on. ${error?.hint ?? ""} Remove the new one with sluice upgrade --drop.`,
  });
}

function notRun(next: Config): Fatal {
  return new Fatal("UPGRADE_NOT_RUN", `no process runs ${next["source.name"]}`, {
    hint: "Start `sluice stages`: it runs every generation. Then ask for the upgrade again.",
  });
}

function format(slot: number | null): string {
  return slot === null ? "?" : formatNumber(slot);
}
