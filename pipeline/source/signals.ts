/** From what an endpoint sends to what a `Source` yields, checking what everything later relies on. */
import type { BlockScopedData, BlockUndoSignal, Error as ModuleError } from "@substreams/core/proto";
import { Fatal } from "../errors.ts";
import type { SelectedModule } from "./module.ts";
import type { BlockSignal } from "./source.ts";

/** Lines and characters of a failed module's log that go into an error. */
const LOG_LINES_MAX = 20;
const LOG_CHARACTERS_MAX = 4_000;

/**
 * The payload is a view of the message. Empty near the head, where servers send blocks that matched nothing, some of them
 * without a module name. Throws `Fatal` SUBSTREAMS_PROTOCOL.
 */
export function blockSignal(data: BlockScopedData, module: SelectedModule): Extract<BlockSignal, { kind: "block" }> {
  const { clock, cursor, output } = data;
  const slot = slotOf(clock?.number, "a block");
  if (clock === undefined || clock.id === "") throw broken(`block ${slot} has no id`);
  if (cursor === "") throw broken(`block ${slot} has no cursor`);
  if (output !== undefined && output.name !== "" && output.name !== module.name) {
    throw broken(`block ${slot} holds the output of module "${output.name}", not of "${module.name}"`);
  }
  const finalSlot = slotOf(data.finalBlockHeight, `the final height of block ${slot}`);
  const time = Number(clock.timestamp?.seconds ?? 0n);
  const typeUrl = output?.mapOutput?.typeUrl ?? "";
  return {
    kind: "block",
    block: { slot, hash: clock.id, cursor, time, finalSlot },
    typeName: typeUrl === "" ? module.typeName : typeUrl.slice(typeUrl.lastIndexOf("/") + 1),
    payload: output?.mapOutput?.value ?? new Uint8Array(0),
  };
}

/** `finalSlot`: the highest known; an undo signal brings none. Throws `Fatal` SUBSTREAMS_PROTOCOL. */
export function undoSignal(
  undo: BlockUndoSignal,
  module: SelectedModule,
  finalSlot: number,
): Extract<BlockSignal, { kind: "undo" }> {
  const { lastValidBlock, lastValidCursor } = undo;
  const slot = slotOf(lastValidBlock?.number, "an undo signal");
  if (lastValidBlock === undefined || lastValidBlock.id === "") throw broken(`the undo to ${slot} has no block id`);
  if (lastValidCursor === "") throw broken(`the undo to ${slot} has no cursor`);
  const to = { slot, hash: lastValidBlock.id, cursor: lastValidCursor, moduleHash: module.hash };
  return { kind: "undo", to, finalSlot };
}

/** A module that failed on the server, with what it logged last. */
export function moduleFailure(error: ModuleError, where: string): Fatal {
  const logs = error.logs.slice(-LOG_LINES_MAX).join("\n").slice(-LOG_CHARACTERS_MAX);
  const cut = error.logsTruncated || error.logs.length > LOG_LINES_MAX;
  const logged = logs === "" ? "" : `\nits log${cut ? " (end)" : ""}:\n${logs}`;
  return new Fatal("SUBSTREAMS_MODULE_FAILED", `module "${error.module}" failed: ${error.reason}${logged}`, {
    where,
    hint: "The package's code failed on the provider's side. Use a fixed version of the package, or other params.",
  });
}

function slotOf(value: bigint | undefined, what: string): number {
  const slot = Number(value);
  if (value === undefined || !Number.isSafeInteger(slot)) {
    throw broken(`${what} has ${value === undefined ? "no number" : `the number ${value}, beyond 2^53`}`);
  }
  return slot;
}

function broken(what: string): Fatal {
  return new Fatal("SUBSTREAMS_PROTOCOL", `the endpoint breaks the protocol: ${what}`, {
    hint: "Nothing was taken from that message. Report it to your provider, with the trace id from the log.",
  });
}
