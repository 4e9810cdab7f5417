/** From what an endpoint sends to what a `Source` yields, checking what everything later relies on. */
import type { BlockScopedData, BlockUndoSignal, Error as ModuleError } from "@substreams/core/proto";
import { Fatal } from "../errors.ts";
import type { SelectedModule } from "./module.ts";
import type { BlockSignal } from "./source.ts";

/** Lines and characters of a failed module's log that go into an error. */
const LOG_LINES_MAX = 20;
const LOG_CHARACTERS_MAX = 4_000;
/**
 * Ids, cursors and type names go into the header of every message, for which JetStream has 64 KiB. Solana's ids have 44
 * characters, cursors some 200.
 */
const ID_CHARACTERS_MAX = 88;
const CURSOR_CHARACTERS_MAX = 4_096;
const TYPE_CHARACTERS_MAX = 512;
/** The lake's folders are dates of four-digit years. Unix seconds, both included. */
const TIME_MIN = Date.UTC(1970, 0, 1) / 1000;
const TIME_MAX = Date.UTC(9999, 11, 31, 23, 59, 59) / 1000;

/**
 * The payload is a view of the message. Empty near the head, where servers send blocks that matched nothing, some of them
 * without a module name. Throws `Fatal` SUBSTREAMS_PROTOCOL.
 */
export function blockSignal(data: BlockScopedData, module: SelectedModule): Extract<BlockSignal, { kind: "block" }> {
  const { clock, cursor, output } = data;
  const slot = slotOf(clock?.number, "a block");
  if (clock === undefined) throw broken(`block ${slot} has no id`);
  mustFit(clock.id, ID_CHARACTERS_MAX, `block ${slot}`, "id");
  mustFit(cursor, CURSOR_CHARACTERS_MAX, `block ${slot}`, "cursor");
  if (output !== undefined && output.name !== "" && output.name !== module.name) {
    throw broken(`block ${slot} holds the output of module "${output.name}", not of "${module.name}"`);
  }
  const finalSlot = slotOf(data.finalBlockHeight, `the final height of block ${slot}`);
  const time = Number(clock.timestamp?.seconds ?? 0n);
  if (time < TIME_MIN || time > TIME_MAX)
    throw broken(`block ${slot} is of the time ${time}, before 1970 or after 9999`);
  const typeUrl = output?.mapOutput?.typeUrl ?? "";
  if (typeUrl.length > TYPE_CHARACTERS_MAX) throw broken(`the output of block ${slot} names an endless type`);
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
  if (lastValidBlock === undefined) throw broken(`the undo to ${slot} has no block id`);
  mustFit(lastValidBlock.id, ID_CHARACTERS_MAX, `the undo to ${slot}`, "block id");
  mustFit(lastValidCursor, CURSOR_CHARACTERS_MAX, `the undo to ${slot}`, "cursor");
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

function mustFit(text: string, charactersMax: number, of: string, what: string): void {
  if (text === "") throw broken(`${of} has no ${what}`);
  if (text.length > charactersMax) {
    throw broken(`${of} has a ${what} of ${text.length} characters, more than ${charactersMax}`);
  }
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
