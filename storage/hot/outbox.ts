/**
 * The live outbox: what a commit has to tell the live feed, stored in the commit's own transaction, so that nothing is
 * told that was not committed and nothing committed is left untold. Told at least once; the id says what was told before.
 */
import type { Database, Statement } from "bun:sqlite";
import type { BlockRef } from "../../pipeline/position.ts";

/** What tells a message from every other. */
export interface LiveMark {
  /** Version of the hot store after the commit: grows with every commit and never repeats. */
  readonly id: number;
  readonly kind: "data" | "undo";
  /** Where the lane stood after it. */
  readonly block: BlockRef;
}

export interface LiveMessage extends LiveMark {
  readonly body: Uint8Array;
}

export class Outbox {
  private readonly rowsMax: number;
  private readonly insert: Statement;
  private readonly select: Statement;
  private readonly find: Statement;
  private readonly remove: Statement;
  /** Told already; deleted by the next commit, so that telling costs no write of its own. */
  private sent = 0;

  /** `rowsMax`: a feed that is not drained forgets its oldest messages; readers see the gap in the chain and read anew. */
  constructor(db: Database, rowsMax: number) {
    this.rowsMax = rowsMax;
    this.insert = db.prepare("INSERT INTO _outbox (id, kind, slot, hash, body) VALUES (?, ?, ?, ?, ?)");
    this.select = db.prepare("SELECT id, kind, slot, hash, body FROM _outbox WHERE id > ? ORDER BY id LIMIT ?");
    this.find = db.prepare("SELECT 1 FROM _outbox WHERE id = ? AND kind = ? AND slot = ? AND hash = ?");
    this.remove = db.prepare("DELETE FROM _outbox WHERE id <= ?");
  }

  /** Within the commit's transaction. */
  add(message: LiveMessage | null, version: number): void {
    this.remove.run(Math.max(this.sent, version - this.rowsMax));
    if (message === null) return;
    this.insert.run(message.id, message.kind, message.block.slot, message.block.hash, message.body);
  }

  pending(limit: number): LiveMessage[] {
    return this.select.values(this.sent, limit).map(([id, kind, slot, hash, body]) => ({
      id: Number(id),
      kind: kind as "data" | "undo",
      block: { slot: Number(slot), hash: String(hash) },
      body: body as Uint8Array,
    }));
  }

  has({ id, kind, block }: LiveMark): boolean {
    return this.find.values(id, kind, block.slot, block.hash).length > 0;
  }

  markSent(upToId: number): void {
    this.sent = Math.max(this.sent, upToId);
  }
}
