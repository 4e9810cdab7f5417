/** `/api/indexer/logs`: the last lines of every process of the deployment, by level, component and words. */
import { Type as t } from "@sinclair/typebox";
import { LIMITS } from "../../pipeline/limits.ts";
import type { NodeLogEntry } from "../../pipeline/log-exchange.ts";
import { LOG_LEVELS } from "../../pipeline/log-levels.ts";
import type { LogQuery } from "../../pipeline/log-ring.ts";
import { choice, integer, optional, text } from "../params.ts";
import { ok, type Route, route } from "./route.ts";

/** Lines of all processes that answered, and which those are; `complete` false: only our own could be asked. */
export interface DeploymentLogs {
  readonly nodes: readonly string[];
  readonly complete: boolean;
  readonly entries: readonly NodeLogEntry[];
}
export type ReadLogs = (query: LogQuery) => Promise<DeploymentLogs>;

const Logs = t.Object({
  success: t.Literal(true),
  nodes: t.Array(t.String(), { description: "processes that answered" }),
  complete: t.Boolean({ description: "false: the broker did not answer, so these are lines of the API alone" }),
  logs: t.Array(
    t.Object({
      time: t.Integer({ description: "ms since the Unix epoch" }),
      level: t.Union(LOG_LEVELS.map((level) => t.Literal(level))),
      component: t.String({ description: "stage, or part of the process" }),
      node: t.String(),
      message: t.String(),
      fields: t.Record(t.String(), t.Unknown(), { description: "unit, code, where, hint, numbers" }),
    }),
    { description: "oldest first" },
  ),
});

export function logRoutes(read: ReadLogs): Route[] {
  return [
    route({
      method: "GET",
      path: "/api/indexer/logs",
      audience: "control",
      summary: "The last log lines of every process",
      answers: { 200: Logs },
      params: {
        lines: integer("at most so many, the latest", { min: 1, max: LIMITS.logLinesKept, default: 100 }),
        level: optional(choice("this level and higher ones", LOG_LEVELS, null)),
        component: optional(text("a stage (decode, lane), or a part of a process (nats, api)", { min: 1, max: 64 })),
        search: optional(text("words that the line must hold, in any case of letters", { min: 1, max: 100 })),
      },
      handle: async ({ params }) => {
        const { lines, level, component, search } = params;
        const { nodes, complete, entries } = await read({
          lines,
          ...(level === null ? {} : { level }),
          ...(component === null ? {} : { component }),
          ...(search === null ? {} : { search }),
        });
        return ok({ success: true, nodes, complete, logs: entries });
      },
    }),
  ];
}
