/** `/health` and `/ready`: what is wrong, and whether what is read here is current. */
import { Type as t } from "@sinclair/typebox";
import { type HealthReader, reasonsNotReady } from "../health.ts";
import type { Route } from "./route.ts";

const Health = t.Object({
  status: t.Union([t.Literal("healthy"), t.Literal("degraded"), t.Literal("unhealthy")]),
  timestamp: t.String({ format: "date-time" }),
  version: t.String(),
  checks: t.Array(
    t.Object({
      name: t.String(),
      ok: t.Boolean(),
      detail: t.String(),
      since: t.Integer({ description: "ms since the Unix epoch" }),
    }),
  ),
});
const Ready = t.Object({ ready: t.Boolean(), reasons: t.Array(t.String()) });

export function healthRoutes(health: Pick<HealthReader, "read">, version: string): Route[] {
  return [
    {
      method: "GET",
      path: "/health",
      audience: "anyone",
      uncounted: true,
      summary: "How the deployment does, check by check; 503 when nothing moves",
      answers: { 200: Health, 503: Health },
      handle: async () => {
        const { at, status, checks } = await health.read();
        const body = { status, timestamp: new Date(at).toISOString(), version, checks };
        return { status: status === "unhealthy" ? 503 : 200, body };
      },
    },
    {
      method: "GET",
      path: "/ready",
      audience: "anyone",
      uncounted: true,
      summary: "200 when what is read here is current, else 503 with the reasons",
      answers: { 200: Ready, 503: Ready },
      handle: async () => {
        const reasons = reasonsNotReady((await health.read()).checks);
        return { status: reasons.length === 0 ? 200 : 503, body: { ready: reasons.length === 0, reasons } };
      },
    },
  ];
}
