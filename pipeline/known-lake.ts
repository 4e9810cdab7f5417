/**
 * Where an archive begins in a lake that holds nothing of its source. At the first start that is right; after the archive
 * has committed, it is a slip in `lake.dir`, in the bucket or in its prefix: beginning there would ask the provider for all
 * of the chain again, and leave history in two places. What the archive has told of itself (NATS KV) tells the two apart.
 */
import type { Head, Sink } from "../storage/sink.ts";
import type { Broker } from "./broker.ts";
import type { Config } from "./config.ts";
import type { Control } from "./control.ts";
import { Fatal } from "./errors.ts";
import type { RunnerStanding } from "./runner.ts";

/** What is asked of a deployment. */
export interface Archived {
  readonly config: Pick<Config, "lake.beginAnew" | "lake.url">;
  readonly control: Pick<Control, "standing">;
  lake(): Promise<{ readonly name: string }>;
}

/**
 * For who has found nothing in the lake that `unit` writes. Resolves to whether the unit has run before, in this lake or,
 * where `lake.beginAnew` allows it, in another; throws `Fatal` LAKE_OTHER where it has committed to another.
 */
export async function requireFirst(d: Archived, unit: string): Promise<boolean> {
  const told = await d.control.standing(unit);
  if (told === null || told.position === null) return false;
  if (told.empty === true || d.config["lake.beginAnew"]) return true;
  const setting = d.config["lake.url"] === "" ? "lake.dir (or data.dir)" : "lake.url";
  throw new Fatal("LAKE_OTHER", `nothing of ${unit} is here, but it has committed up to slot ${told.position.slot}`, {
    where: (await d.lake()).name,
    hint: `Most often ${setting} names another place than before: name the lake that holds it. To begin a new one here on purpose, start once with lake.beginAnew=true.`,
  });
}

export interface BeginningSink<Out> extends Sink<Out> {
  /** A standing as it is to be told: whether anything was committed is part of it. */
  told(standing: RunnerStanding): RunnerStanding & { readonly empty: boolean };
}

/** A sink that, while it is empty, stands where `first` says, rather than asking for what came before; null: at the beginning. */
export function beginningWith<Out>(sink: Sink<Out>, first: () => Promise<Head | null>): BeginningSink<Out> {
  let isEmpty = false;
  return {
    name: sink.name,
    async open() {
      const head = await sink.open();
      isEmpty = head === null;
      return head ?? first();
    },
    async commit(step, out) {
      const stands = await sink.commit(isEmpty ? { ...step, prev: null } : step, out);
      isEmpty = false;
      return stands;
    },
    rollback: async (step) => (isEmpty ? undefined : sink.rollback(step)),
    end: async (step) => sink.end?.(step),
    close: () => sink.close(),
    told: (standing) => ({ ...standing, empty: isEmpty }),
  };
}

/** A head before the oldest message of a stream; null where that is the first of all, or there is none. */
export async function beforeOldest(
  broker: Pick<Broker, "firstHeader">,
  { stream, subject }: { readonly stream: string; readonly subject: string },
): Promise<Head | null> {
  const prev = (await broker.firstHeader(stream, subject, 1))?.header.prev ?? null;
  return prev === null ? null : { position: prev, finalSlot: 0, recent: [prev], inputSeq: 0 };
}
