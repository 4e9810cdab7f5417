/**
 * Recent log lines of every process of a deployment, over NATS: each answers for itself, whoever asks puts them in order
 * of time. Plain request and reply: a process that is gone or slow is left out, and nothing waits for it.
 */
import { errors, type NatsConnection } from "@nats-io/transport-node";
import { LIMITS } from "./limits.ts";
import type { LogEntry, LogQuery, LogRing } from "./log-ring.ts";

/** A line and the process that logged it. */
export interface NodeLogEntry extends LogEntry {
  readonly node: string;
}

/** How long is waited for the first answer and, after each, for another; ms. */
const ANSWERS_WITHIN_MS = 2_000;
const SILENCE_MS = 300;

const subjectOf = (prefix: string) => `${prefix}.logs`;

/** Answers for this process until the connection closes, or `stop` is called. */
export function answerLogRequests(
  connection: NatsConnection,
  prefix: string,
  node: string,
  ring: Pick<LogRing, "select">,
): { stop(): void } {
  const subscription = connection.subscribe(subjectOf(prefix), {
    callback: (error, request) => {
      if (error !== null) return;
      const query = queryFrom(request.data);
      if (query !== null) request.respond(encode(node, ring.select(query)));
    },
  });
  return { stop: () => subscription.unsubscribe() };
}

/** The latest lines of all processes that answer, oldest first, and which those are. */
export async function collectLogs(
  connection: Pick<NatsConnection, "requestMany">,
  prefix: string,
  query: LogQuery,
): Promise<{ readonly nodes: readonly string[]; readonly entries: readonly NodeLogEntry[] }> {
  const nodes: string[] = [];
  const entries: NodeLogEntry[] = [];
  try {
    const answers = await connection.requestMany(subjectOf(prefix), JSON.stringify(query), {
      strategy: "stall",
      stall: SILENCE_MS,
      maxWait: ANSWERS_WITHIN_MS,
    });
    for await (const answer of answers) {
      if (answer.data.length === 0) continue;
      const { node, entries: theirs } = answer.json<{ node: string; entries: LogEntry[] }>();
      nodes.push(node);
      entries.push(...theirs.map((entry) => ({ ...entry, node })));
    }
  } catch (error) {
    // Nobody listens: no process of this deployment runs.
    if (!(error instanceof errors.NoRespondersError)) throw error;
  }
  entries.sort((a, b) => a.time - b.time);
  return { nodes: nodes.sort(), entries: query.lines <= 0 ? [] : entries.slice(-query.lines) };
}

/** The same, of this process alone when the broker does not answer: it may be just that which one wants to read about. */
export async function deploymentLogs(
  connection: Pick<NatsConnection, "requestMany">,
  prefix: string,
  own: { readonly node: string; readonly ring: Pick<LogRing, "select"> },
  query: LogQuery,
): Promise<{ nodes: readonly string[]; entries: readonly NodeLogEntry[]; complete: boolean }> {
  try {
    return { ...(await collectLogs(connection, prefix, query)), complete: true };
  } catch {
    const entries = own.ring.select(query).map((entry) => ({ ...entry, node: own.node }));
    return { nodes: [own.node], entries, complete: false };
  }
}

/** What comes over the wire may be anybody's: a query that is none is not answered. */
function queryFrom(data: Uint8Array): LogQuery | null {
  try {
    const query = JSON.parse(new TextDecoder().decode(data)) as LogQuery;
    return Number.isInteger(query.lines) ? { ...query, lines: Math.min(query.lines, LIMITS.logLinesKept) } : null;
  } catch {
    return null;
  }
}

/** The latest lines that fit in one message. */
function encode(node: string, entries: readonly LogEntry[]): string {
  let room = LIMITS.messageBytesMax / 2;
  let from = entries.length;
  while (from > 0 && (room -= Buffer.byteLength(JSON.stringify(entries[from - 1])) + 1) > 0) from--;
  return JSON.stringify({ node, entries: entries.slice(from) });
}
