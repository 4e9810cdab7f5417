/** `/api/time`: what time it is here. */
import { Type as t } from "@sinclair/typebox";
import type { World } from "../../../pipeline/world.ts";
import { strftime, zoneOf } from "../../clock.ts";
import { optional, text } from "../../params.ts";
import type { Route } from "../route.ts";
import { enveloped } from "./envelope.ts";

const PLAIN = "%Y-%m-%d %H:%M:%S";

export function timeRoutes(world: Pick<World, "now">): Route[] {
  return [
    enveloped({
      method: "GET",
      path: "/api/time",
      summary: "The server's time",
      params: { format: optional(text(`form of \`local\`, as strftime; without it ${PLAIN}`, { min: 0, max: 200 })) },
      data: t.Object({ timestamp: t.Integer(), utc: t.String(), local: t.String(), iso8601: t.String() }),
      empty: { timestamp: 0, utc: "", local: "", iso8601: "" },
      handle({ params }) {
        const now = new Date(world.now());
        const behind = now.getTimezoneOffset();
        // Shifted, so that its fields in UTC are those of local time.
        const local = new Date(now.getTime() - behind * 60_000);
        return {
          timestamp: Math.floor(now.getTime() / 1_000),
          utc: `${strftime(PLAIN, now)} UTC`,
          local: `${strftime(params.format ?? PLAIN, local)} ${zoneOf(behind)}`,
          iso8601: now.toISOString().replace("Z", "+00:00"),
        };
      },
    }),
  ];
}
