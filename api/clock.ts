/**
 * Time as texts, and the time of a request. Everything is derived from one injected clock (`World.now`); a client's own
 * word is believed only near it, so nobody can forge the order of things or make others expire.
 */
import { bad } from "./params.ts";

/** How far a client's clock may be from ours, ms. Beyond, its word is moved to the edge of the window. */
export const SKEW_MS = 30_000;

/** ISO 8601 in UTC: "2024-01-01T00:00:00Z", with milliseconds where there are any. */
export function formatIso8601(ms: number): string {
  return new Date(ms).toISOString().replace(".000Z", "Z");
}

export const isoSeconds = (seconds: number) => formatIso8601(seconds * 1_000);

const ISO = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/;

/** ms since the Unix epoch; null when the text is no ISO 8601 instant. */
export function parseIso8601(text: string): number | null {
  return ISO.test(text) ? valid(Date.parse(text)) : null;
}

const MONTHS = "Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec";
/** RFC 2822 and the preferred form of HTTP dates: "Wed, 21 Oct 2015 07:28:00 GMT". */
const RFC2822 = new RegExp(
  `^(?:[A-Z][a-z]{2}, )?\\d{1,2} (?:${MONTHS}) \\d{4} \\d\\d:\\d\\d:\\d\\d (?:GMT|UT|UTC|[+-]\\d{4})$`,
);

/** ms since the Unix epoch; null when the text is no such date. */
export function parseHttpDate(text: string): number | null {
  return RFC2822.test(text) ? valid(Date.parse(text)) : null;
}

/** What the client says of when its request began: `X-Request-Start-Time` (ms), else `Date`; null when it says nothing. */
export function timeFromHeaders(headers: Pick<Headers, "get">): number | null {
  const started = headers.get("x-request-start-time");
  if (started !== null && /^\d{1,16}$/.test(started)) return Number(started);
  const date = headers.get("date");
  return date === null ? null : parseHttpDate(date);
}

/** The time of a request: the client's word, moved into the window around `now`; `now` where it says nothing. */
export function requestTime(headers: Pick<Headers, "get">, now: number): number {
  const said = timeFromHeaders(headers);
  return said === null ? now : Math.min(Math.max(said, now - SKEW_MS), now + SKEW_MS);
}

/** Whether more than `timeoutMs` have passed since `startMs`. */
export function isTimeout(startMs: number, timeoutMs: number, now: number): boolean {
  return now - startMs > timeoutMs;
}

function valid(ms: number): number | null {
  return Number.isNaN(ms) ? null : ms;
}

const two = (n: number) => String(n).padStart(2, "0");
const WEEKDAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTH_NAMES = [
  ...["January", "February", "March", "April", "May", "June", "July"],
  ...["August", "September", "October", "November", "December"],
];

/** What may follow "%" in a format, as strftime means it. */
const SPECIFIERS: Readonly<Record<string, (d: Date) => string>> = {
  Y: (d) => String(d.getUTCFullYear()),
  y: (d) => two(d.getUTCFullYear() % 100),
  m: (d) => two(d.getUTCMonth() + 1),
  d: (d) => two(d.getUTCDate()),
  e: (d) => String(d.getUTCDate()).padStart(2, " "),
  H: (d) => two(d.getUTCHours()),
  I: (d) => two(d.getUTCHours() % 12 || 12),
  M: (d) => two(d.getUTCMinutes()),
  S: (d) => two(d.getUTCSeconds()),
  f: (d) => String(d.getUTCMilliseconds() * 1_000_000).padStart(9, "0"),
  p: (d) => (d.getUTCHours() < 12 ? "AM" : "PM"),
  A: (d) => WEEKDAYS[d.getUTCDay()]!,
  a: (d) => WEEKDAYS[d.getUTCDay()]!.slice(0, 3),
  B: (d) => MONTH_NAMES[d.getUTCMonth()]!,
  b: (d) => MONTH_NAMES[d.getUTCMonth()]!.slice(0, 3),
  j: (d) => String(Math.floor((d.getTime() - Date.UTC(d.getUTCFullYear(), 0, 1)) / 86_400_000) + 1).padStart(3, "0"),
  F: (d) => strftime("%Y-%m-%d", d),
  T: (d) => strftime("%H:%M:%S", d),
  R: (d) => strftime("%H:%M", d),
  D: (d) => strftime("%m/%d/%y", d),
  s: (d) => String(Math.floor(d.getTime() / 1_000)),
  "%": () => "%",
};

/** A time in the form that `format` asks for. The fields are those that the date has in UTC. Throws `Poison` BAD_REQUEST. */
export function strftime(format: string, date: Date): string {
  return format.replaceAll(/%(.?)/gs, (_, specifier: string) => {
    const write = Object.hasOwn(SPECIFIERS, specifier) ? SPECIFIERS[specifier] : undefined;
    if (write !== undefined) return write(date);
    throw bad(
      `format may hold ${Object.keys(SPECIFIERS)
        .map((s) => `%${s}`)
        .join(" ")}, not %${specifier}`,
    );
  });
}

/** "+02:00": how far local time is ahead of UTC. */
export function zoneOf(minutesBehind: number): string {
  const ahead = Math.abs(minutesBehind);
  return `${minutesBehind > 0 ? "-" : "+"}${two(Math.floor(ahead / 60))}:${two(ahead % 60)}`;
}
