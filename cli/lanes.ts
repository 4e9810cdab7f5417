/**
 * The number of lanes that a source was begun with, held to for its life. Every lane's file carries it, and NATS KV has it
 * for hosts without a file: those that run other stages, or join. Lost with the server, it is recorded anew from the settings,
 * which the files of the host must agree with.
 */
import type { Config } from "../pipeline/config.ts";
import type { Control } from "../pipeline/control.ts";
import { checkLaneFiles } from "../storage/hot/lane-files.ts";
import { lanesChanged } from "../storage/hot/lanes.ts";
import { folders } from "./folders.ts";

/** Throws `Fatal` LANES_CHANGED when files of this host, or NATS, say another number than the settings. */
export async function checkLanes(config: Config, control: Pick<Control, "lanes">): Promise<void> {
  checkLaneFiles(folders(config).hot, config.lanes);
  await checkRecordedLanes(config, control);
}

/** The same, for what NATS says. */
export async function checkRecordedLanes(config: Config, control: Pick<Control, "lanes">): Promise<void> {
  mustAgree(config, await control.lanes(config["source.name"]));
}

/** The same; recorded where it is not yet. */
export async function holdLanes(config: Config, control: Pick<Control, "lanes" | "holdLanes">): Promise<void> {
  await checkLanes(config, control);
  mustAgree(config, await control.holdLanes(config["source.name"], config.lanes));
}

function mustAgree(config: Config, recorded: number | null): void {
  if (recorded === null || recorded === config.lanes) return;
  throw lanesChanged(recorded, config.lanes, `recorded in NATS for the source ${config["source.name"]}`);
}
