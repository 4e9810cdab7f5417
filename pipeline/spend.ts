/**
 * What a source costs: blocks and bytes received a day, kept in NATS KV, and what they make of a month. Providers bill what
 * they send, so this counts what came, whether it could be used or not. Days are UTC.
 */
import type { Config } from "./config.ts";

const DAY_MS = 86_400_000;
/** Days that are remembered. */
const DAYS_MAX = 400;
/** The rate is that of so many days, today included. */
const RATE_DAYS = 7;

export interface Amount {
  readonly blocks: number;
  /** Uncompressed. */
  readonly bytes: number;
}

export interface Ledger {
  /** When counting began, ms since the Unix epoch. */
  readonly since: number;
  /** By day, "2026-11-21". */
  readonly days: Readonly<Record<string, Amount>>;
}

export interface Spend {
  readonly today: Amount;
  readonly month: Amount;
  /** What the month will have cost at its end, at the rate of the last seven days. */
  readonly projectedMonth: Amount;
}

/** Limits; 0: none. */
export interface Budget {
  readonly day: Amount;
  readonly month: Amount;
  readonly alarmPercent: number;
  readonly atLimit: "stop" | "alarm";
}

/** How much of the tightest limit is used, and which that is. */
export interface BudgetUse {
  readonly percent: number;
  /** "blocks of the month" for example. */
  readonly what: string;
  readonly used: number;
  readonly limit: number;
}

export const NOTHING: Amount = { blocks: 0, bytes: 0 };

export function dayOf(at: number): string {
  return new Date(at).toISOString().slice(0, 10);
}

/** A ledger with `amount` added to the day of `at`; the oldest days are forgotten. */
export function addSpend(ledger: Ledger | null, at: number, amount: Amount): Ledger {
  const day = dayOf(at);
  const days: Record<string, Amount> = { ...ledger?.days, [day]: plus(ledger?.days[day] ?? NOTHING, amount) };
  for (const old of Object.keys(days).sort().slice(0, -DAYS_MAX)) delete days[old];
  return { since: ledger?.since ?? at, days };
}

export function spendAt(ledger: Ledger | null, at: number): Spend {
  const days = ledger?.days ?? {};
  const monthName = dayOf(at).slice(0, 7);
  const month = sum(Object.entries(days).flatMap(([day, amount]) => (day.startsWith(monthName) ? [amount] : [])));
  const today = days[dayOf(at)] ?? NOTHING;
  const midnight = Math.floor(at / DAY_MS) * DAY_MS;
  const from = Math.max(midnight - (RATE_DAYS - 1) * DAY_MS, ledger?.since ?? at);
  const lately = sum(Array.from({ length: RATE_DAYS }, (_, i) => days[dayOf(midnight - i * DAY_MS)] ?? NOTHING));
  const [year, number] = monthName.split("-").map(Number) as [number, number];
  const monthEnd = Date.UTC(year, number, 1);
  // Right after the start, seconds would be blown up to a month.
  const elapsed = Math.max(at - from, 3_600_000);
  const share = (monthEnd - at) / elapsed;
  const projected = { blocks: Math.round(lately.blocks * share), bytes: Math.round(lately.bytes * share) };
  return { today, month, projectedMonth: plus(month, projected) };
}

/** Blocks that must have come lately before they say something about others. */
const BLOCKS_KNOWN_MIN = 1_000;

/** What so many blocks will bring, by the bytes of those that came in the last seven days; null while too few have. */
export function expectedOf(ledger: Ledger | null, at: number, blocks: number): Amount | null {
  const days = Array.from({ length: RATE_DAYS }, (_, i) => ledger?.days[dayOf(at - i * DAY_MS)] ?? NOTHING);
  const lately = sum(days);
  if (lately.blocks < BLOCKS_KNOWN_MIN) return null;
  return { blocks, bytes: Math.round((blocks * lately.bytes) / lately.blocks) };
}

/** Null: there is no limit. */
export function budgetUse({ today, month }: Spend, budget: Budget): BudgetUse | null {
  const uses = (["day", "month"] as const).flatMap((period) =>
    (["blocks", "bytes"] as const).flatMap((unit) => {
      const limit = budget[period][unit];
      const used = (period === "day" ? today : month)[unit];
      return limit === 0 ? [] : [{ percent: (100 * used) / limit, what: `${unit} of the ${period}`, used, limit }];
    }),
  );
  return uses.reduce<BudgetUse | null>((most, use) => (most === null || use.percent > most.percent ? use : most), null);
}

/** What may still come before a limit is reached; infinite where there is none. */
export function leftOf({ today, month }: Spend, budget: Budget): Amount {
  const left = (unit: keyof Amount) => {
    const of = (limit: number, used: number) => (limit === 0 ? Number.POSITIVE_INFINITY : Math.max(0, limit - used));
    return Math.min(of(budget.day[unit], today[unit]), of(budget.month[unit], month[unit]));
  };
  return { blocks: left("blocks"), bytes: left("bytes") };
}

export function budgetOf(config: Config): Budget {
  return {
    day: { blocks: config["spend.maxBlocksPerDay"], bytes: config["spend.maxBytesPerDay"] },
    month: { blocks: config["spend.maxBlocksPerMonth"], bytes: config["spend.maxBytesPerMonth"] },
    alarmPercent: config["spend.alarmPercent"],
    atLimit: config["spend.atLimit"],
  };
}

function plus(a: Amount, b: Amount): Amount {
  return { blocks: a.blocks + b.blocks, bytes: a.bytes + b.bytes };
}

function sum(amounts: readonly Amount[]): Amount {
  return amounts.reduce(plus, NOTHING);
}
