/**
 * What the pipeline ends in: lanes that can undo, an archive that cannot. Each is a durable part, which outlives every
 * process, and a sink, which does not. Whatever is written is held against the network at that very moment.
 */
import { Fenced, Transient } from "../../pipeline/errors.ts";
import { type Position, sameBlock } from "../../pipeline/position.ts";
import type { RowBatch } from "../../pipeline/wire/batch.ts";
import type { Head, Sink, Step } from "../../storage/sink.ts";
import type { Faults } from "./faults.ts";
import type { Machine } from "./machine.ts";
import type { Block, Network } from "./network.ts";
import { type Kept, keptOf } from "./stages.ts";

/** What survives: nothing here is ever half-way. */
export class Durable {
  readonly name: string;
  head: Head | null = null;
  kept: Kept[] = [];
  owner = 0;

  constructor(name: string) {
    this.name = name;
  }
}

/** Planted bugs, to see that the simulation sees. */
export type Bug =
  | "position before data"
  | "undo dropped"
  | "reader trusts a wrong hint"
  | "trimmed beyond the archive"
  | "no compare-and-set";

export interface OutputWorld {
  readonly network: Network;
  readonly faults: Faults;
  readonly bug: Bug | null;
  trace(line: string): void;
  /** Says what is wrong and ends the run. */
  violation(what: string): void;
}

abstract class DurableSink<Out> implements Sink<Out> {
  readonly name: string;
  protected readonly durable: Durable;
  protected readonly w: OutputWorld;
  private readonly machine: Machine;
  private owner = 0;

  constructor(durable: Durable, machine: Machine, outputs: OutputWorld) {
    this.name = durable.name;
    this.durable = durable;
    this.machine = machine;
    this.w = outputs;
  }

  open(): Promise<Head | null> {
    return this.machine.call(`open ${this.name}`, () => {
      this.owner = ++this.durable.owner;
      return this.durable.head;
    });
  }

  abstract commit(step: Step, out: Out): Promise<Position>;
  abstract rollback(step: Step): Promise<void>;

  async close(): Promise<void> {
    await this.machine.awake();
  }

  protected async write(step: Step, action: () => void): Promise<void> {
    const place = `commit ${this.name}`;
    await this.machine.call(place, () => {
      if (this.w.faults.roll("commit fails", place)) throw new Transient("COMMIT", "not written");
      this.checkOwner(step);
      action();
      this.w.trace(`${this.name} stands at ${this.durable.head?.position.hash}, final ${this.durable.head?.finalSlot}`);
      if (this.w.faults.roll("commit unconfirmed", place)) throw new Transient("COMMIT", "no answer");
    });
  }

  protected checkOwner(step: Step): void {
    const stands = this.durable.head?.position ?? null;
    if (this.w.bug === "no compare-and-set") return;
    if (this.owner !== this.durable.owner) throw new Fenced("OWNER", `${this.name} has another owner`);
    if (stands !== null && !sameBlock(step.prev, stands)) throw new Fenced("POSITION", `${this.name} has moved on`);
  }

  /** What is appended must be a child of what is there. */
  protected append(added: readonly Kept[]): void {
    for (const kept of added) {
      const block = this.w.network.byHash.get(kept.block.hash)!;
      const last = this.durable.kept.at(-1)?.block.hash;
      const parent = deliveredParent(block)?.hash;
      if (parent !== last) this.w.violation(`${this.name}: ${block.hash} comes after ${last}, not after ${parent}`);
      this.durable.kept.push(kept);
    }
  }
}

function deliveredParent(block: Block): Block | null {
  let parent = block.parent;
  while (parent !== null && !parent.delivered) parent = parent.parent;
  return parent;
}

export class LaneSink extends DurableSink<RowBatch> {
  async commit(step: Step, out: RowBatch): Promise<Position> {
    const kept = keptOf(out);
    const { durable } = this;
    const finalSlot = Math.max(step.finalSlot, durable.head?.finalSlot ?? 0);
    const recent = [...(durable.head?.recent ?? []), ...step.blocks].slice(-200);
    const move = () => {
      durable.head = { position: step.next, finalSlot, recent, inputSeq: step.inputSeq };
    };
    if (this.w.bug === "position before data") {
      await this.write(step, move);
      await this.write({ ...step, prev: step.next }, () => this.append(kept));
    } else {
      await this.write(step, () => {
        this.append(kept);
        move();
      });
    }
    return step.next;
  }

  async rollback(step: Step): Promise<void> {
    const { durable } = this;
    const { next: to, inputSeq } = step;
    await this.write(step, () => {
      const finalSlot = durable.head?.finalSlot ?? 0;
      const stays = (b: { slot: number; hash: string }) => b.slot < to.slot || sameBlock(b, to);
      const gone = durable.kept.filter((k) => !stays(k.block));
      const lost = gone.find((k) => k.block.slot <= finalSlot);
      if (lost !== undefined) this.w.violation(`${this.name}: takes back ${lost.block.hash}, final at ${finalSlot}`);
      const recent = [...(durable.head?.recent ?? []).filter((b) => stays(b) && b.slot !== to.slot), to];
      // Finality counts up to where the output stands.
      const final = Math.min(Math.max(finalSlot, step.finalSlot), to.slot);
      durable.head = { position: to, finalSlot: final, recent, inputSeq };
      if (this.w.bug !== "undo dropped") durable.kept = durable.kept.filter((k) => stays(k.block));
    });
  }
}

export class ArchiveSink extends DurableSink<readonly Kept[]> {
  async commit(step: Step, roll: readonly Kept[]): Promise<Position> {
    const { slot, hash, cursor } = roll.at(-1)!.block;
    const position = { slot, hash, cursor, moduleHash: step.next.moduleHash };
    await this.write(step, () => {
      this.append(roll);
      for (const { block } of roll) {
        const final = block.slot <= this.w.network.final.slot && this.w.network.isValid(block);
        if (!final) this.w.violation(`${this.name}: ${block.hash} is archived and not final`);
      }
      // As the lake, it does not remember where it stands in its input.
      this.durable.head = { position, finalSlot: step.finalSlot, recent: [position], inputSeq: 0 };
    });
    return position;
  }

  async rollback(step: Step): Promise<void> {
    await this.write(step, () => {
      if (!sameBlock(step.next, this.durable.head?.position ?? null)) {
        this.w.violation(`${this.name}: asked to take back to ${step.next.hash}`);
      }
    });
  }
}
