/** `/api/query`: SQL for those whose token has the scope. One SELECT, read-only, answered in a process of its own. */
import { type Static, Type as t } from "@sinclair/typebox";
import { Value } from "@sinclair/typebox/value";
import { FOREIGN_FORMATS, FOREIGN_LIMITS, type ForeignQueries } from "../../storage/analytics/foreign.ts";
import { type BriefSeen, SEEN_FILES } from "../../storage/analytics/seen.ts";
import { refused } from "../errors.ts";
import { MadeStream, type Route, route } from "./route.ts";

const Query = t.Object(
  {
    sql: t.String({ minLength: 1, maxLength: FOREIGN_LIMITS.sqlBytes, description: "one SELECT over the datasets" }),
    format: t.Optional(
      t.Union(
        FOREIGN_FORMATS.map((format) => t.Literal(format)),
        { description: "default json" },
      ),
    ),
  },
  { additionalProperties: false },
);

const keys = (which: string) =>
  t.Array(t.String(), { maxItems: SEEN_FILES, description: `keys of the first ${which}` });

const SeenFiles = t.Object({
  dataset: t.String(),
  opened: keys("files of the lake that were opened"),
  openedCount: t.Integer({ minimum: 0 }),
  ruledOut: keys("files that the query's conditions rule out"),
  ruledOutCount: t.Integer({ minimum: 0 }),
});

const Result = t.Object({
  rows: t.Array(t.Record(t.String(), t.Unknown()), { description: "64-bit integers and wider as text" }),
  truncated: t.Boolean({ description: "there were more rows than the limits allow" }),
  seen: t.Object(
    {
      lake: t.Unknown({ description: "number and sha256 of the manifest entry that was read; null: an empty lake" }),
      lineages: t.Unknown({
        description:
          "what the lake is made of: source, kind, dataset, the slot up to which it goes, and how many lineages",
      }),
      hot: t.Unknown({ description: "hot stores: name, source, position (slot and hash) and finalSlot" }),
      files: t.Array(SeenFiles, { description: "of each dataset that the query names" }),
    },
    { description: "what it was answered from" },
  ),
});

/** A position holds the provider's cursor as well, which is nobody's but the pipeline's. */
function seenBy({ hot, ...lake }: BriefSeen) {
  const stands = hot.map(({ source, name, position, finalSlot }) => {
    const at = position === null ? null : { slot: position.slot, hash: position.hash };
    return { source, name, position: at, finalSlot };
  });
  return { ...lake, hot: stands };
}

export function queryRoutes(queries: Pick<ForeignQueries, "ask">): Route[] {
  return [
    route({
      method: "POST",
      path: "/api/query",
      audience: "sql",
      summary: `SQL over lake and hot stores; at most ${FOREIGN_LIMITS.rows} rows`,
      body: Query,
      answers: { 200: Result },
      async handle({ body, asker }) {
        const { sql, format = "json" } = queryOf(body);
        const answer = await queries.ask({ sql, format, key: asker });
        const { truncated, seen } = answer;
        const type = CONTENT_TYPES[format];
        if (type !== undefined) {
          const headers = { "content-type": type, "x-truncated": String(truncated) };
          return { status: 200, body: new MadeStream(answer.body), headers };
        }
        // The rows are JSON already.
        const rest = JSON.stringify({ truncated, seen: seenBy(seen) }).slice(1);
        return { status: 200, body: new MadeStream(between(`{"rows":`, answer.body, `,${rest}`)) };
      },
    }),
  ];
}

/** Formats that have no room for what the rows were answered from. */
const CONTENT_TYPES: Readonly<Record<string, string>> = {
  csv: "text/csv; charset=utf-8",
  arrow: "application/vnd.apache.arrow.stream",
};

function between(before: string, body: ReadableStream<Uint8Array>, after: string): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  const ends = new TransformStream<Uint8Array, Uint8Array>({
    start: (controller) => controller.enqueue(encoder.encode(before)),
    flush: (controller) => controller.enqueue(encoder.encode(after)),
  });
  return body.pipeThrough(ends);
}

/** Refuses a body that is no query, with the first place where it is not. */
function queryOf(body: unknown): Static<typeof Query> {
  const error = Value.Errors(Query, body).First();
  if (error === undefined) return body as Static<typeof Query>;
  const where = error.path === "" ? "the body" : `the body's ${error.path.slice(1)}`;
  const choice = error.path === "/format" ? `one of ${FOREIGN_FORMATS.join(", ")} is expected` : null;
  throw refused("BAD_REQUEST", `${where} is wrong: ${choice ?? error.message.toLowerCase()}`);
}
