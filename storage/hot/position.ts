/** The position row and the blocks of a lane's file: where it stands, who owns it, what it remembers of the chain. */
import type { Database } from "bun:sqlite";
import { Fatal, Fenced } from "../../pipeline/errors.ts";
import { LIMITS } from "../../pipeline/limits.ts";
import { type BlockRef, formatBlock, type Position } from "../../pipeline/position.ts";
import type { Head, Step } from "../sink.ts";

/** What a writer must still find in the position row: nobody else has opened or moved the store since it looked. */
export interface Ticket {
  readonly version: number;
  readonly epoch: number;
}

/** Becomes the owner: every earlier ticket is void. Within a transaction. */
export function takeOwnership(db: Database): Ticket {
  db.run("UPDATE _position SET epoch = epoch + 1");
  const [version, epoch] = db.query("SELECT version, epoch FROM _position").values()[0]!;
  return { version: Number(version), epoch: Number(epoch) };
}

export function readPosition(db: Database): { position: Position; finalSlot: number; inputSeq: number } | null {
  const row = db.query("SELECT slot, hash, cursor, module_hash, final_slot, input_seq FROM _position").values()[0]!;
  const [slot, hash, cursor, moduleHash, finalSlot, inputSeq] = row;
  if (slot === null) return null;
  const position = { slot: Number(slot), hash: String(hash), cursor: String(cursor), moduleHash: String(moduleHash) };
  return { position, finalSlot: Number(finalSlot), inputSeq: Number(inputSeq) };
}

/** Greatest block time among the final blocks held: what began before it and has ended is final. Null when none is held. */
export function finalTimeOf(db: Database): number | null {
  const time = db.query("SELECT max(b.time) FROM _blocks b, _position p WHERE b.slot <= p.final_slot").values()[0]![0];
  return time === null ? null : Number(time);
}

/** Greatest block time among the blocks held. Null when none is held. */
export function headTimeOf(db: Database): number | null {
  const time = db.query("SELECT max(time) FROM _blocks").values()[0]![0];
  return time === null ? null : Number(time);
}

export function readHead(db: Database): Head | null {
  const stands = readPosition(db);
  return stands === null ? null : { ...stands, recent: readBlocks(db) };
}

function readBlocks(db: Database): BlockRef[] {
  const rows = db.query("SELECT slot, hash FROM _blocks ORDER BY slot").values();
  return rows.map(([slot, hash]) => ({ slot: Number(slot), hash: String(hash) }));
}

/** Highest slot recorded as final. */
export function finalSlotOf(db: Database): number {
  return Number(db.query("SELECT final_slot FROM _position").values()[0]![0]);
}

/** Moves position and final slot from `step.prev` to `step.next`, or throws `Fenced`. An empty store may begin anywhere. */
export function advance(db: Database, ticket: Ticket, step: Step, finalSlot: number): Ticket {
  const { prev, next } = step;
  const moved = db
    .query(
      `UPDATE _position SET version = version + 1, slot = ?, hash = ?, cursor = ?, module_hash = ?,
         final_slot = ?, input_seq = ?
       WHERE version = ? AND epoch = ? AND (slot IS NULL OR (slot = ? AND hash = ? AND cursor = ?))`,
    )
    .run(
      ...[next.slot, next.hash, next.cursor, next.moduleHash, finalSlot, step.inputSeq],
      ...[ticket.version, ticket.epoch, prev?.slot ?? null, prev?.hash ?? null, prev?.cursor ?? null],
    );
  if (moved.changes === 0) throw fenced(db, prev);
  return { ...ticket, version: ticket.version + 1 };
}

/** Raises the version to at least this, so that no later commit takes one that another file has given already. */
export function skipVersions(db: Database, ticket: Ticket, versionMin: number): Ticket {
  const version = Math.max(ticket.version, versionMin);
  db.query("UPDATE _position SET version = ?").run(version);
  return { ...ticket, version };
}

/** Throws `Fenced` when somebody else owns the store. Within a transaction. */
export function checkOwner(db: Database, ticket: Ticket): void {
  const epoch = Number(db.query("SELECT epoch FROM _position").values()[0]![0]);
  if (epoch !== ticket.epoch) throw fenced(db, null);
}

function fenced(db: Database, believed: Position | null): Fenced {
  const stands = formatBlock(readPosition(db)?.position ?? null);
  return new Fenced(
    "HOT_FENCED",
    `the hot store stands at ${stands}, this writer believed at ${formatBlock(believed)}`,
    {
      where: db.filename,
      hint: "Another owner has taken the lane over. Nothing was written; this one gives up the lane.",
    },
  );
}

/**
 * The slot above which an undo to `to` takes everything back: `to.slot`, or one less when another block is held there.
 * `Fatal` when a block recorded as final would be among it.
 */
export function undoFloor(db: Database, to: BlockRef): number {
  const held = db.query("SELECT hash FROM _blocks WHERE slot = ?").values(to.slot)[0]?.[0];
  const floor = held !== undefined && held !== to.hash ? to.slot - 1 : to.slot;
  const finalSlot = finalSlotOf(db);
  const lost = db.query("SELECT min(slot) FROM _blocks WHERE slot > ? AND slot <= ?").values(floor, finalSlot)[0]![0];
  if (lost === null) return floor;
  throw new Fatal(
    "HOT_UNDO_FINAL",
    `undo to ${formatBlock(to)} would take back block ${lost}, final up to ${finalSlot}`,
    {
      where: db.filename,
      hint: "Finality was broken upstream, or the store belongs to another network. Rebuild it before going on.",
    },
  );
}

/** `time`: block time, Unix seconds; null for a block that was never delivered, only named by an undo. */
export function addBlock(db: Database, block: BlockRef, time: number | null): void {
  db.query("INSERT INTO _blocks (slot, hash, time) VALUES (?, ?, ?)").run(block.slot, block.hash, time);
}

/** The block that an undo went back to, which need not be one that was delivered. */
export function keepBlock(db: Database, block: BlockRef): void {
  db.query("INSERT OR IGNORE INTO _blocks (slot, hash) VALUES (?, ?)").run(block.slot, block.hash);
}

export function removeBlocksAbove(db: Database, slot: number): void {
  db.query("DELETE FROM _blocks WHERE slot > ?").run(slot);
}

/** Keeps all blocks above the final slot and a window of final ones. */
export function pruneBlocks(db: Database, finalSlot: number): void {
  const oldest = db.query("SELECT slot FROM _blocks WHERE slot <= ? ORDER BY slot DESC LIMIT 1 OFFSET ?");
  const row = oldest.values(finalSlot, LIMITS.recentFinalBlocks)[0];
  if (row !== undefined) db.query("DELETE FROM _blocks WHERE slot <= ?").run(row[0]!);
}
