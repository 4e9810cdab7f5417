/** What a check of `sluice doctor` is: it looks at one thing, says what it saw, and, where that is not right, how to mend it. */
import { classify } from "../../pipeline/errors.ts";

/** ok; warn: works, but not as it should; fail: will not work; skip: could not be looked at, and why. */
export type CheckState = "ok" | "warn" | "fail" | "skip";

export interface Finding {
  readonly state: CheckState;
  /** What was seen: versions, numbers, names. Never a secret. */
  readonly evidence: string;
  /** What exactly to do; of every `warn` and `fail`. */
  readonly fix?: string;
}

export interface CheckResult extends Finding {
  readonly group: string;
  readonly name: string;
}

export interface Check {
  /** What it belongs to: host, nats, source, lake, api. */
  readonly group: string;
  readonly name: string;
  /** Name of a check of the same group without which this one has nothing to look at. */
  readonly needs?: string;
  run(signal: AbortSignal): Finding | Promise<Finding>;
}

export const ok = (evidence: string): Finding => ({ state: "ok", evidence });
export const skip = (evidence: string): Finding => ({ state: "skip", evidence });
export const warn = (evidence: string, fix: string): Finding => ({ state: "warn", evidence, fix });
export const fail = (evidence: string, fix: string): Finding => ({ state: "fail", evidence, fix });

/** Runs checks one after the other and tells each as it is done. What rests on a failed one is not tried. */
export async function runChecks(
  checks: readonly Check[],
  timeoutMs: number,
  tell: (result: CheckResult) => void,
): Promise<CheckResult[]> {
  const results: CheckResult[] = [];
  for (const check of checks) {
    const { group, name, needs } = check;
    const missing = results.some(
      (r) => r.group === group && r.name === needs && (r.state === "fail" || r.state === "skip"),
    );
    const result = missing ? { group, name, ...skip(`needs "${needs}"`) } : await runCheck(check, timeoutMs);
    results.push(result);
    tell(result);
  }
  return results;
}

/** Runs one check; what it throws, and silence, are findings. */
async function runCheck(check: Check, timeoutMs: number): Promise<CheckResult> {
  const { group, name } = check;
  const signal = AbortSignal.timeout(timeoutMs);
  const silence = new Promise<Finding>((resolve) => {
    signal.addEventListener("abort", () =>
      resolve(
        fail(`no result within ${timeoutMs / 1000} s`, "Something does not answer: see the other lines of this group."),
      ),
    );
  });
  const result = Promise.resolve()
    .then(() => check.run(signal))
    .catch(failureOf);
  return { group, name, ...(await Promise.race([result, silence])) };
}

/** An error as a finding: its code and words, and its own hint as the fix. */
export function failureOf(error: unknown): Finding {
  const { code, message, where, hint } = classify(error);
  const at = where === undefined ? "" : ` (${where})`;
  return fail(`${code}: ${message}${at}`, hint ?? `See \`sluice explain ${code}\`.`);
}

/** Remembers what was made once, so that checks that need the same thing share it, and its failure. */
export function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | null = null;
  return () => (made ??= make());
}

/** "512 KiB", "4 GiB". */
export function bytesText(bytes: number): string {
  const units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${Number(value.toFixed(value < 10 ? 1 : 0))} ${units[unit]}`;
}

/** Compares "2.14.5" like versions; what follows a dash does not count. */
export function isAtLeast(version: string, least: string): boolean {
  const numbers = (text: string) => text.replace(/^v/, "").split("-")[0]!.split(".").map(Number);
  const [a, b] = [numbers(version), numbers(least)];
  for (let i = 0; i < b.length; i++) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0);
    if (Number.isNaN(difference)) return false;
    if (difference !== 0) return difference > 0;
  }
  return true;
}
