/** What is in quarantine, as the commands see it: payloads in lake and hot stores, and whole batches in their stream. */
import type { Config } from "../pipeline/config.ts";
import { Fatal } from "../pipeline/errors.ts";
import type { Analytics } from "../storage/analytics/analytics.ts";
import type { SqlValue } from "../storage/analytics/values.ts";
import { quoteText } from "../storage/lake/columns.ts";

/** Which payloads are meant. */
export interface Selection {
  /** Of this program, base58. */
  readonly program?: string;
  readonly reason?: string;
  /** In blocks before, or from this slot on. */
  readonly before?: number;
  readonly since?: number;
}

/** A payload without its bytes. */
export interface PayloadFacts {
  readonly id: string;
  readonly slot: number;
  readonly time: number;
  readonly signature: string;
  readonly instructionPath: string;
  readonly ordinal: number;
  readonly program: string;
  readonly reason: string;
  readonly detail: string;
  readonly discriminator: string | null;
  readonly bytes: number;
}

/** SQL that is true for what is meant; the values are quoted. */
export function whereOf({ program, reason, before, since }: Selection): string {
  const terms = [
    ...(program === undefined ? [] : [`program = ${quoteText(program)}`]),
    ...(reason === undefined ? [] : [`reason = ${quoteText(reason)}`]),
    ...(before === undefined ? [] : [`slot < ${before}`]),
    ...(since === undefined ? [] : [`slot >= ${since}`]),
  ];
  return terms.length === 0 ? "true" : terms.join(" AND ");
}

const FACTS = `slot, block_time, tx_index, event_index, signature, instruction_path, ordinal, program, reason, detail,
  discriminator, octet_length(payload) AS bytes`;
const NEWEST_FIRST = "ORDER BY slot DESC, tx_index DESC, event_index DESC";

export async function payloads(analytics: Analytics, selection: Selection, limit: number): Promise<PayloadFacts[]> {
  const sql = `SELECT ${FACTS} FROM quarantine WHERE ${whereOf(selection)} ${NEWEST_FIRST} LIMIT ${limit}`;
  const { rows } = await analytics.query(sql, { maxRows: limit });
  return rows.map(factsOf);
}

export interface Group {
  readonly program: string;
  readonly reason: string;
  readonly payloads: number;
  readonly firstSlot: number;
  readonly lastSlot: number;
}

/** How many of what, over all that is meant. */
export async function summary(analytics: Analytics, selection: Selection): Promise<Group[]> {
  const { rows } = await analytics.query(`
    SELECT program, reason, count(*), min(slot), max(slot) FROM quarantine WHERE ${whereOf(selection)}
    GROUP BY program, reason ORDER BY count(*) DESC, program, reason LIMIT 1000`);
  return rows.map(([program, reason, count, first, last]) => ({
    program: String(program),
    reason: String(reason),
    payloads: Number(count),
    firstSlot: Number(first),
    lastSlot: Number(last),
  }));
}

const ID = /^(\d{1,15})-(\d{1,10})-(\d{1,10})$/;

/** The payloads with this id: one, or one of each source. Throws `Fatal` USAGE or QUARANTINE_MISSING. */
export async function payloadsById(
  analytics: Analytics,
  id: string,
): Promise<(PayloadFacts & { readonly payload: Uint8Array })[]> {
  const match = ID.exec(id);
  if (match === null) {
    throw new Fatal("USAGE", `${JSON.stringify(id.slice(0, 40))} is no id of a payload or batch`, {
      hint: "Ids are in the first column of `sluice quarantine list`, for example 370500301-4-2 or batch-17.",
    });
  }
  const [slot, tx, event] = match.slice(1);
  const { rows } = await analytics.query(
    `SELECT ${FACTS}, payload FROM quarantine WHERE slot = ${slot} AND tx_index = ${tx} AND event_index = ${event} LIMIT 64`,
  );
  if (rows.length === 0) throw notThere(id);
  return rows.map((row) => ({ ...factsOf(row), payload: row.at(-1) as Uint8Array }));
}

export function notThere(id: string): Fatal {
  return new Fatal("QUARANTINE_MISSING", `there is nothing in quarantine with the id ${id}`, {
    hint: "`sluice quarantine list` shows what there is; what was dropped or has been healed is gone.",
  });
}

/** Number of a batch's message; null: the id is not one of a batch. */
export function batchNumber(id: string): number | null {
  const match = /^batch-(\d{1,15})$/.exec(id);
  return match === null ? null : Number(match[1]);
}

export async function withBroker<T>(
  config: Config,
  use: (broker: import("../pipeline/broker.ts").Broker, stream: string) => Promise<T>,
): Promise<T> {
  const [{ connectBroker }, { names }] = await Promise.all([import("./deployment.ts"), import("../pipeline/names.ts")]);
  const connection = await connectBroker(config, `sluice-quarantine-${process.pid}`);
  try {
    return await use(connection.broker, names(config["nats.prefix"], config["source.name"]).quarantine.stream);
  } finally {
    await connection.close();
  }
}

function factsOf(row: readonly SqlValue[]): PayloadFacts {
  const [slot, time, tx, event, signature, path, ordinal, program, reason, detail, discriminator, bytes] = row;
  return {
    id: `${slot}-${tx}-${event}`,
    slot: Number(slot),
    time: Number(time),
    signature: String(signature),
    instructionPath: String(path),
    ordinal: Number(ordinal),
    program: String(program),
    reason: String(reason),
    detail: String(detail),
    discriminator: discriminator instanceof Uint8Array ? Buffer.from(discriminator).toString("hex") : null,
    bytes: Number(bytes),
  };
}
