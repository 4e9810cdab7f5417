/** The numbers that a lane gives to its tokens, in the order of their first use. Undone with the block that used them first. */
import type { Database, Statement } from "bun:sqlite";
import { fromLatin1 } from "../../pipeline/datasets/key.ts";
import { Cache } from "./cache.ts";

/** Token numbers held in memory: twice this many at most. */
const CACHED_MAX = 50_000;

export class MintIds {
  private readonly cache = new Cache<number>(CACHED_MAX);
  private readonly select: Statement;
  private readonly insert: Statement;
  private readonly keep: Statement;
  private readonly forget: Statement;
  private readonly forgetKept: Statement;
  private readonly prune: Statement;
  private next: number;

  constructor(db: Database) {
    this.select = db.prepare("SELECT id FROM _mint_ids WHERE mint = ?");
    this.insert = db.prepare("INSERT INTO _mint_ids (id, mint) VALUES (?, ?)");
    this.keep = db.prepare("INSERT INTO _journal_mint_ids (slot, id) VALUES (?, ?)");
    this.forget = db.prepare("DELETE FROM _mint_ids WHERE id IN (SELECT id FROM _journal_mint_ids WHERE slot > ?)");
    this.forgetKept = db.prepare("DELETE FROM _journal_mint_ids WHERE slot > ?");
    this.prune = db.prepare("DELETE FROM _journal_mint_ids WHERE slot <= ?");
    this.next = Number(db.prepare("SELECT coalesce(max(id), 0) FROM _mint_ids").values()[0]![0]) + 1;
  }

  /** `mint`: the address as `latin1` gives it. */
  find(mint: string): number | undefined {
    const cached = this.cache.get(mint);
    if (cached !== undefined) return cached;
    const row = this.select.values(fromLatin1(mint))[0];
    if (row === undefined) return undefined;
    const id = Number(row[0]);
    this.cache.set(mint, id);
    return id;
  }

  /** The number of a token, a new one when it has none. `undoSlot`: the block of its first use, null if that is final. */
  idOf(mint: string, undoSlot: number | null): number {
    const found = this.find(mint);
    if (found !== undefined) return found;
    const id = this.next++;
    this.insert.run(id, fromLatin1(mint));
    if (undoSlot !== null) this.keep.run(undoSlot, id);
    this.cache.set(mint, id);
    return id;
  }

  /** Takes back the numbers first used above `slot`. */
  restore(slot: number): void {
    this.forget.run(slot);
    this.forgetKept.run(slot);
    this.cache.clear();
  }

  /** Drops what can no longer be undone. */
  pruneAt(finalSlot: number): void {
    this.prune.run(finalSlot);
  }
}
