/** The settings of the tiers: how long rows stay where, before the next tier alone has them. */
import { flag, integer, type Knob } from "./config-knob.ts";

export const RETENTION_KNOBS = {
  "retention.hotDays": integer(
    7,
    "days of block time",
    0,
    36_500,
    "Events stay in the hot stores for so long, and until the lake has them, which is checked. 0: for ever.",
  ),
  "retention.candles": integer(
    50_000,
    "candles",
    0,
    1_000_000_000,
    "Candles of each interval stay in the hot stores for so many of it, and at least as long as events; older ones are made of the lake's trades. 0, or retention.hotDays 0: for ever.",
  ),
  "retention.warmDays": integer(
    30,
    "days of block time",
    0,
    36_500,
    "With the lake in a bucket: copies of its files stay on this host for so long, within lake.cacheMaxBytes. 0: as long as there is room.",
  ),
  "retention.dryRun": flag(
    false,
    "Say in the log what would be removed from the hot stores and from this host, and remove nothing.",
  ),
} as const satisfies Record<string, Knob>;
