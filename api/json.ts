/** JSON with every digit of every number, and amounts as people read them. */

/** A number with just these digits. */
export function numberText(digits: string): unknown {
  return rawJson(digits);
}

/** A bigint becomes a number with all its digits: readers that need them exactly read numbers as decimals. */
export function toJson(body: unknown): string {
  return JSON.stringify(body, (_key, value: unknown) => (typeof value === "bigint" ? rawJson(String(value)) : value));
}

// Newer than the library's types.
const rawJson = (JSON as unknown as { rawJSON(text: string): unknown }).rawJSON;

/** An integer multiple of 10^-digits as a plain decimal, exact: ("28", 3) is "0.028". */
export function decimal(value: bigint, digits: number): string {
  const text = value.toString().padStart(digits + 1, "0");
  const whole = text.slice(0, -digits);
  const fraction = text.slice(-digits).replace(/0+$/, "");
  return fraction === "" ? whole : `${whole}.${fraction}`;
}
