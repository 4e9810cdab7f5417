/**
 * Answers that still hold, by URL. An answer is given again as long as its version is the present one, which the store
 * tells in a microsecond; so a popular chart is read and written once a block, however many look at it. Bounded in
 * entries and bytes; what was not asked for longest goes first.
 */

const ENTRIES_MAX = 2_048;
const BYTES_MAX = 32 * 1024 * 1024;
/** Larger answers, and those to longer URLs, are not kept. */
const ANSWER_BYTES_MAX = 1024 * 1024;
const KEY_LENGTH_MAX = 512;

export class AnswerCache {
  private readonly entries = new Map<string, { readonly version: string; readonly body: Uint8Array<ArrayBuffer> }>();
  private bytes = 0;

  get(key: string, version: string): Uint8Array<ArrayBuffer> | undefined {
    const found = this.entries.get(key);
    if (found === undefined || found.version !== version) return undefined;
    // Asked for last: goes last.
    this.entries.delete(key);
    this.entries.set(key, found);
    return found.body;
  }

  set(key: string, version: string, body: Uint8Array<ArrayBuffer>): void {
    this.remove(key);
    if (body.length > ANSWER_BYTES_MAX || key.length > KEY_LENGTH_MAX) return;
    this.entries.set(key, { version, body });
    this.bytes += body.length;
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
