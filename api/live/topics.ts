/**
 * What a client can ask for. A topic is a text; an item of the feed carries all topics that it belongs to, so finding who
 * wants it is a look-up.
 *
 * | topic | what comes |
 * |---|---|
 * | `trades`, `trades:MINT` | trades, of all tokens or of one |
 * | `events`, `events:MINT`, `events:*:TYPE`, `events:MINT:TYPE` | decoded events |
 * | `candles:MINT:INTERVAL`, `candles:*:INTERVAL` | candles as each block leaves them |
 * | `mints` | tokens seen for the first time |
 */
import { CANDLE_SECONDS } from "../../pipeline/datasets/candles.ts";
import { refused } from "../errors.ts";
import { addressBytes } from "../params.ts";

const INTERVAL_NAMES = new Map<number, string>(Object.entries(CANDLE_SECONDS).map(([name, s]) => [s, name]));
const INTERVALS = Object.keys(CANDLE_SECONDS);
/** Longest topic, characters; longer ones are not worth reading. */
const TOPIC_LENGTH_MAX = 128;

export const topicsOf = {
  trade: (mint: string | null) => (mint === null ? ["trades"] : ["trades", `trades:${mint}`]),
  event: (mint: string | null, type: string) =>
    mint === null
      ? ["events", `events:*:${type}`]
      : ["events", `events:*:${type}`, `events:${mint}`, `events:${mint}:${type}`],
  /** `seconds`: the interval. */
  candle(mint: string, seconds: number) {
    const interval = intervalName(seconds);
    return [`candles:*:${interval}`, `candles:${mint}:${interval}`];
  },
  mint: () => ["mints"],
};

/** What a topic is of: its first part. */
export function kindOf(topic: string): string {
  return topic.split(":", 1)[0]!;
}

export function intervalName(seconds: number): string {
  return INTERVAL_NAMES.get(seconds) ?? `${seconds}s`;
}

/** The topic as items carry it. Throws `Poison` BAD_REQUEST that says what is wrong. `eventTypes`: those that exist. */
export function readTopic(given: unknown, eventTypes: ReadonlySet<string>): string {
  if (typeof given !== "string" || given.length > TOPIC_LENGTH_MAX) throw bad(given, "a topic is a text");
  const [kind, first = "*", second, ...rest] = given.split(":");
  if (rest.length > 0) throw bad(given, "it has too many parts");
  if (first !== "*" && addressBytes(first) === null) throw bad(given, "its second part is neither an address nor *");
  switch (kind) {
    case "mints":
      if (given !== "mints") throw bad(given, "mints has no further parts");
      return given;
    case "trades":
      if (second !== undefined) throw bad(given, "trades has a mint and nothing else");
      return first === "*" ? "trades" : given;
    case "events":
      if (second === undefined) return first === "*" ? "events" : given;
      if (!eventTypes.has(second)) throw bad(given, `there is no such event; there are ${[...eventTypes].join(", ")}`);
      return given;
    case "candles":
      if (second !== undefined && INTERVALS.includes(second)) return given;
      throw bad(given, `candles need a mint (or *) and an interval: ${INTERVALS.join(", ")}`);
    default:
      throw bad(given, "topics begin with trades, events, candles, or are mints");
  }
}

function bad(given: unknown, why: string) {
  const shown = typeof given === "string" ? JSON.stringify(given.slice(0, TOPIC_LENGTH_MAX)) : typeof given;
  return refused("BAD_REQUEST", `${shown} is no topic: ${why}`);
}
