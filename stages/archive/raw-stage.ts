/** Archive of raw blocks: keeps them until they are final, and hands them on in segments, as the archive of rows does. */
import { RAW_BLOCKS } from "../../pipeline/datasets/raw_blocks.ts";
import type { Position } from "../../pipeline/position.ts";
import type { BlockBatch } from "../../pipeline/wire/batch.ts";
import type { Roll } from "../../pipeline/wire/roll.ts";
import { TableBuilder } from "../../pipeline/wire/table.ts";
import type { Stage } from "../stage.ts";
import { ArchiveStage, type RollLimits } from "./stage.ts";

export class RawArchiveStage implements Stage<BlockBatch, Roll> {
  readonly name = "raw archive";
  private readonly archive: ArchiveStage;

  constructor(limits: Partial<RollLimits> = {}) {
    this.archive = new ArchiveStage(limits);
  }

  apply({ blocks, payloads, typeName }: BlockBatch): Roll | null {
    const table = new TableBuilder(RAW_BLOCKS, Math.max(1, blocks.length));
    blocks.forEach(({ slot, time, hash }, i) => {
      // Blocks without output say that nothing matched.
      if (payloads[i]!.length === 0) return;
      table.appendCells({ slot, block_time: time, hash, type: typeName, payload: payloads[i]! });
    });
    const tables = table.length === 0 ? new Map() : new Map([[RAW_BLOCKS.name, table.finish()]]);
    return this.archive.apply({ blocks, tables });
  }

  undo(to: Position): void {
    this.archive.undo(to);
  }

  end(): Roll | null {
    return this.archive.end();
  }

  /** The stream is filling up: the next batch, or `flush`, carries out whatever is final, short of the limits. */
  requestEarlyRoll(): void {
    this.archive.requestEarlyRoll();
  }

  flush(): Roll | null {
    return this.archive.flush();
  }

  pendingFinal(): { blocks: number; rows: number } {
    return this.archive.pendingFinal();
  }
}
