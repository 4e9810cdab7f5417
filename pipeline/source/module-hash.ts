/**
 * The hash that names a Substreams module: SHA-1 over its code, inputs (params included), initial block, block filter
 * and the same of all its ancestors. Two runs with equal hashes give equal output, so a cursor of one can be used in the
 * other. Layout: `manifest/signature.go` of streamingfast/substreams; kinds of input newer than our protos are hashed by
 * their encoding, which is as unambiguous but not the server's hash.
 */
import { createHash } from "node:crypto";
import type { ModuleGraph } from "@substreams/core";
import type { Module, Module_BlockFilter, Module_Input, Modules } from "@substreams/core/proto";

const KINDS = { kindMap: "map", kindStore: "store", kindBlockIndex: "block_index" } as const;

/** Hash of `module`, hex. `initialBlockOf` resolves initial blocks that are inherited. */
export function moduleHash(
  modules: Modules,
  graph: ModuleGraph,
  module: Module,
  initialBlockOf: (module: Module) => bigint,
): string {
  const known = new Map<Module, Buffer>();
  const hashOf = (target: Module): Buffer => {
    const before = known.get(target);
    if (before !== undefined) return before;
    const binary = modules.binaries[target.binaryIndex];
    const initialBlock = Buffer.alloc(8);
    initialBlock.writeBigUInt64LE(initialBlockOf(target));
    const sha1 = createHash("sha1");
    sha1.update("initial_block").update(initialBlock);
    sha1.update("kind").update(target.kind.case === undefined ? "" : KINDS[target.kind.case]);
    sha1.update("binary");
    if (binary !== undefined) sha1.update(binary.type).update(binary.content);
    sha1.update("inputs");
    for (const input of target.inputs) hashInput(sha1, input);
    if (target.blockFilter !== undefined) {
      sha1.update("block_filter_module!").update(target.blockFilter.module);
      sha1.update("block_filter_query!").update(filterQuery(target.blockFilter, target.inputs));
    }
    sha1.update("ancestors");
    for (const ancestor of graph.ancestorsOf(target)) sha1.update(hashOf(ancestor));
    const hash = sha1.update("entrypoint").update(target.binaryEntrypoint).digest();
    known.set(target, hash);
    return hash;
  };
  return hashOf(module).toString("hex");
}

function hashInput(sha1: ReturnType<typeof createHash>, message: Module_Input): void {
  const { input } = message;
  if (input.case === "source") sha1.update("source").update(input.value.type);
  else if (input.case === "params") sha1.update("params").update(input.value.value);
  else if (input.case === undefined) sha1.update(message.toBinary());
  else sha1.update(input.case); // maps and stores count through the ancestors
}

/** The filter itself, or the module's params where it says so. */
function filterQuery(filter: Module_BlockFilter, inputs: readonly Module_Input[]): string {
  if (filter.query.case === "queryString") return filter.query.value;
  for (const { input } of inputs) if (input.case === "params") return input.value.value;
  return "";
}
