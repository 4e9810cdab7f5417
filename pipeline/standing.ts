/** Where a producer begins when its stream is empty but its consumers are not: at the lowest position among them. */
import type { Head } from "../storage/sink.ts";
import type { Config } from "./config.ts";
import type { Control, Standing } from "./control.ts";
import type { Log } from "./log.ts";
import { names } from "./names.ts";
import type { World } from "./world.ts";

/** How long consumers have to say where they stand before those that are silent are taken to be empty, ms. */
const JOIN_WAIT_MS = 10_000;

/** Units that read BLOCKS: what they need, it must keep, and begin with. */
export function consumersOfBlocks(
  config: Pick<Config, "nats.prefix" | "archive.rawBlocks">,
  source: string,
): readonly string[] {
  const n = names(config["nats.prefix"], source);
  return config["archive.rawBlocks"] ? [n.unit("decode"), n.rawUnit] : [n.unit("decode")];
}

export async function lowestStanding(
  d: { readonly control: Pick<Control, "standing">; readonly world: World; readonly log: Log },
  consumers: readonly string[],
  signal: AbortSignal,
): Promise<Head | null> {
  const deadline = d.world.monotonic() + JOIN_WAIT_MS;
  const standings = new Map<string, Standing>();
  for (let told = false; ; ) {
    for (const consumer of consumers) {
      const standing = await d.control.standing(consumer);
      if (standing !== null) standings.set(consumer, standing);
    }
    const silent = consumers.filter((c) => !standings.has(c));
    if (silent.length === 0) break;
    if (d.world.monotonic() > deadline) {
      // A consumer that turns up later and stands further back asks for a replay.
      d.log("warning", "some consumers have not said where they stand; going on without them", {
        silent: silent.join(" "),
      });
      break;
    }
    if (!told) d.log("info", "waiting for consumers to say where they stand", { silent: silent.join(" ") });
    told = true;
    await d.world.sleep(100, signal);
  }
  return lowest([...standings.values()]);
}

export function lowest(standings: readonly Standing[]): Head | null {
  let best: Standing | null = null;
  for (const standing of standings) {
    if (standing.position === null) return null;
    if (best === null || standing.position.slot < best.position!.slot) best = standing;
  }
  if (best?.position == null) return null;
  const { position, finalSlot, recent } = best;
  // The rebuilt stream remembers no more of the chain than this: without it, no fork from below would find its place.
  return { position, finalSlot, recent: recent ?? [{ slot: position.slot, hash: position.hash }], inputSeq: 0 };
}
