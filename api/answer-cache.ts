/**
 * Answers that still hold, by URL, and what the URL asked for. An answer is given again as long as its version is the
 * present one, which the store tells in a microsecond; so a popular chart is read and written once a block, however many
 * look at it, and a URL is routed and parsed once. Bounded in entries and bytes; what was not asked for longest goes first.
 */
import type { Route } from "./routes/route.ts";

const ENTRIES_MAX = 2_048;
const BYTES_MAX = 32 * 1024 * 1024;
/** Larger answers, and those to longer URLs, are not kept. */
const ANSWER_BYTES_MAX = 1024 * 1024;
const KEY_LENGTH_MAX = 512;

export interface Kept {
  readonly route: Route;
  readonly params: Readonly<Record<string, unknown>>;
  readonly version: string;
  readonly body: Uint8Array<ArrayBuffer>;
  /** The answer itself, to be copied: its headers are made once. */
  readonly answer: Response;
}

export class AnswerCache {
  private readonly entries = new Map<string, Kept>();
  private bytes = 0;

  get(key: string): Kept | undefined {
    const found = this.entries.get(key);
    if (found === undefined) return undefined;
    // Asked for last: goes last.
    this.entries.delete(key);
    this.entries.set(key, found);
    return found;
  }

  set(key: string, kept: Kept): void {
    this.remove(key);
    if (kept.body.length > ANSWER_BYTES_MAX || key.length > KEY_LENGTH_MAX) return;
    this.entries.set(key, kept);
    this.bytes += kept.body.length;
    for (const oldest of this.entries.keys()) {
      if (this.bytes <= BYTES_MAX && this.entries.size <= ENTRIES_MAX) return;
      this.remove(oldest);
    }
  }

  private remove(key: string): void {
    const found = this.entries.get(key);
    if (found === undefined) return;
    this.entries.delete(key);
    this.bytes -= found.body.length;
  }
}
