/**
 * The endpoint: serves the network's chain from a cursor on. A cursor on an abandoned fork is answered with an undo
 * first; finality comes late; connections break, and what was sent may be sent again.
 */
import { Transient } from "../../pipeline/errors.ts";
import type { Position } from "../../pipeline/position.ts";
import type { BlockSignal, Source } from "../../pipeline/source/source.ts";
import type { Faults } from "./faults.ts";
import type { Machine } from "./machine.ts";
import type { Block, Network } from "./network.ts";
import { encodePayload, PAYLOAD_TYPE } from "./stages.ts";

export const MODULE_HASH = "0123abcd";
const PLACE = "source";

export class SimulatedSource implements Source {
  readonly name = "simulated";
  readonly moduleHash = MODULE_HASH;
  private readonly machine: Machine;
  private readonly network: Network;
  private readonly faults: Faults;
  private readonly ended: () => boolean;
  private readonly onSent: (block: Block, finalSlot: number) => void;

  constructor(
    machine: Machine,
    network: Network,
    faults: Faults,
    options: { ended: () => boolean; onSent: (block: Block, finalSlot: number) => void },
  ) {
    this.machine = machine;
    this.network = network;
    this.faults = faults;
    this.ended = options.ended;
    this.onSent = options.onSent;
  }

  async *blocks(from: Position | null, signal: AbortSignal): AsyncGenerator<BlockSignal> {
    const { network, faults } = this;
    let at = from === null ? network.path[0]! : blockOf(network, from.cursor);
    if (faults.roll("source repeats", PLACE)) at = this.before(at);
    while (!signal.aborted) {
      await this.machine.step(PLACE);
      if (faults.roll("source fails", PLACE)) throw new Transient("SOURCE", "the endpoint is gone");
      if (faults.roll("source disconnects", PLACE) && faults.roll("source repeats", PLACE)) at = this.before(at);
      const next = this.after(at);
      if (next === null) {
        if (this.ended()) {
          yield { kind: "end" };
          return;
        }
        await network.change(signal);
        continue;
      }
      at = next.block;
      if (next.undo) {
        const { slot, hash } = at;
        const to = { slot, hash, cursor: cursorOf(at), moduleHash: MODULE_HASH };
        yield { kind: "undo", to, finalSlot: network.reportedFinal.slot };
      } else if (at.delivered) {
        this.onSent(at, network.reportedFinal.slot);
        yield this.signalOf(at);
      }
    }
  }

  /** What the endpoint sends to one who has everything up to `at`. */
  private after(at: Block): { block: Block; undo: boolean } | null {
    const { path } = this.network;
    const index = path.indexOf(at);
    if (index < 0) {
      let valid = at.parent!;
      while (!path.includes(valid)) valid = valid.parent!;
      return { block: valid, undo: true };
    }
    const block = path[index + 1];
    return block === undefined ? null : { block, undo: false };
  }

  /** Up to three blocks back: some servers repeat what the cursor says is known. */
  private before(at: Block): Block {
    let back = at;
    for (let i = this.faults.pick("repeat", PLACE, 4); i > 0 && back.parent !== null; i--) back = back.parent;
    return this.network.isValid(back) && this.network.isValid(at) ? back : at;
  }

  private signalOf(block: Block): BlockSignal {
    const { slot, hash, time } = block;
    const meta = { slot, hash, time, cursor: cursorOf(block), finalSlot: this.network.reportedFinal.slot };
    return { kind: "block", block: meta, typeName: PAYLOAD_TYPE, payload: encodePayload(block.rows) };
  }
}

function cursorOf(block: Block): string {
  return `cursor ${block.hash}`;
}

function blockOf(network: Network, cursor: string): Block {
  return network.byHash.get(cursor.replace("cursor ", ""))!;
}
