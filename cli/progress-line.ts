/** A line that says how far something is: one that updates itself on a terminal, one now and then elsewhere. */
import { systemWorld, type World } from "../pipeline/world.ts";
import type { Output } from "./output.ts";

/** On a terminal a line is drawn at most so often; elsewhere (a log file, a CI job) one is written so often, ms. */
const REDRAW_MS = 100;
const REPEAT_MS = 5_000;

const CLEAR_LINE = "\r\u001b[2K";

export class ProgressLine {
  private readonly out: Output;
  private readonly world: Pick<World, "monotonic">;
  private shownAt = Number.NEGATIVE_INFINITY;
  private isOpen = false;

  constructor(out: Output, world: Pick<World, "monotonic"> = systemWorld) {
    this.out = out;
    this.world = world;
  }

  /** Shows what `text` gives, if it is time to; `force` shows it in any case. */
  show(text: () => string, force = false): void {
    const now = this.world.monotonic();
    const everyMs = this.out.isTTY ? REDRAW_MS : REPEAT_MS;
    if (!force && now - this.shownAt < everyMs) return;
    this.shownAt = now;
    if (!this.out.isTTY) {
      this.out.write(`${text()}\n`);
      return;
    }
    this.out.write(CLEAR_LINE + text().slice(0, Math.max(1, this.out.columns - 1)));
    this.isOpen = true;
  }

  /** Takes the line away, so that what is written next stands alone. */
  end(): void {
    if (this.isOpen) this.out.write(CLEAR_LINE);
    this.isOpen = false;
  }
}

/** 1234567.8 -> "1,234,568"; small numbers keep a digit: 2.5 -> "2.5". */
export function formatNumber(value: number): string {
  if (!Number.isFinite(value)) return "?";
  const digits = Math.abs(value) < 100 && !Number.isInteger(value) ? 1 : 0;
  return value.toLocaleString("en-US", { maximumFractionDigits: digits, minimumFractionDigits: digits });
}

/** Seconds in the two largest units: "4.2 s", "3m 20s", "5h 2m", "12d 3h". */
export function formatSeconds(seconds: number): string {
  if (!Number.isFinite(seconds) || seconds < 0) return "?";
  if (seconds < 59.95) return `${formatNumber(seconds)} s`;
  const whole = Math.round(seconds);
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes}m ${whole % 60}s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours}h ${minutes % 60}m`;
  return `${Math.floor(hours / 24)}d ${hours % 24}h`;
}
