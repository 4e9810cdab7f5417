/** Numbers, amounts, prices and times as people read them. Pure; everything fits into a table cell. */

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const SUBSCRIPTS = "₀₁₂₃₄₅₆₇₈₉";
const LAMPORTS_DIGITS = 9;

/** 1234567 is "1,234,567". */
export function count(value: number): string {
  return whole.format(value);
}

/** 1234567 is "1.2M"; small numbers stay whole. */
export function short(value: number): string {
  return value < 10_000 ? whole.format(value) : compact.format(value);
}

/** Per second: "0", "0.4", "12.5", "1,840". */
export function rate(value: number | null): string {
  if (value === null) return "–";
  if (value === 0) return "0";
  return value < 100 ? value.toFixed(1) : whole.format(value);
}

/** A share as a percentage: "0%", "<0.1%", "3.2%", "100%". What is not all is never said to be. */
export function percent(share: number): string {
  const value = share * 100;
  if (value === 0 || value === 100) return `${value}%`;
  if (value < 0.1) return "<0.1%";
  if (value > 99.9) return ">99.9%";
  return value < 10 ? `${value.toFixed(1)}%` : `${Math.floor(value)}%`;
}

/** "900 B", "1.2 MB". */
export function bytes(value: number): string {
  const units = ["B", "kB", "MB", "GB", "TB", "PB"];
  let at = 0;
  let scaled = value;
  while (scaled >= 999.5 && at < units.length - 1) {
    scaled /= 1000;
    at++;
  }
  return `${at === 0 || scaled >= 100 ? Math.round(scaled) : scaled.toFixed(1)} ${units[at]}`;
}

/** A length of time in its largest unit: "0.4 s", "12 s", "3 min", "5 h", "2 d". */
export function duration(seconds: number): string {
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7_200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.round(seconds / 3_600)} h`;
  return `${Math.round(seconds / 86_400)} d`;
}

/** How long ago, in one word: "now", "12s", "3m", "5h", "2d". A time ahead of the clock is "now". */
export function ago(seconds: number): string {
  if (seconds < 1) return "now";
  if (seconds < 60) return `${Math.floor(seconds)}s`;
  if (seconds < 3_600) return `${Math.floor(seconds / 60)}m`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3_600)}h`;
  return `${Math.floor(seconds / 86_400)}d`;
}

/** The beginning and the end of an address or signature. */
export function brief(address: string): string {
  return address.length <= 11 ? address : `${address.slice(0, 4)}…${address.slice(-4)}`;
}

/** Base units in whole text, such as lamports, as a number of whole ones: near enough to be read. */
export function amountOf(baseUnits: string, digits = LAMPORTS_DIGITS): number {
  return Number(baseUnits) / 10 ** digits;
}

/** Lamports as SOL: "0", "0.0016", "1.24", "708", "12.3K". */
export function sol(lamports: string): string {
  const value = amountOf(lamports);
  const size = Math.abs(value);
  if (size === 0) return "0";
  if (size >= 10_000) return compact.format(value);
  if (size >= 100) return whole.format(value);
  if (size >= 1) return value.toFixed(2);
  return size < 0.0001 ? "<0.0001" : String(Number(value.toPrecision(2)));
}

/** A price with four digits that count; zeros behind the point are counted: 0.00000005303 is "0.0₇5303". */
export function price(value: string | number): string {
  const size = Number(value);
  if (!Number.isFinite(size) || size === 0) return "0";
  if (size >= 1_000) return whole.format(size);
  if (size >= 1) return size.toFixed(size >= 100 ? 1 : 3);
  const [digits = "0", exponent = "0"] = size.toExponential(3).split("e");
  const zeros = -Number(exponent) - 1;
  const counting = digits.replace(".", "");
  if (zeros < 4) return `0.${"0".repeat(zeros)}${counting}`;
  return `0.0${[...String(zeros)].map((digit) => SUBSCRIPTS[Number(digit)]).join("")}${counting}`;
}

/** Unix seconds as local time of day. */
export function clock(seconds: number): string {
  return new Date(seconds * 1000).toLocaleTimeString("en-GB");
}

/** Unix seconds as a local date and time. */
export function dateTime(seconds: number): string {
  const date = new Date(seconds * 1000);
  const day = `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())}`;
  return `${day} ${pad(date.getHours())}:${pad(date.getMinutes())}`;
}

/** "unknown_length" is "unknown length". */
export function words(name: string): string {
  return name.replaceAll("_", " ").replaceAll("-", " ");
}

const pad = (n: number) => String(n).padStart(2, "0");
