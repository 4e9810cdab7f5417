/**
 * Substreams packages (.spkg, protobuf `sf.substreams.v1.Package`): reading one that anybody may have made, and choosing
 * the module to stream from it with its params and network applied.
 */
import { createModuleGraph, INITIAL_BLOCK_UNSET, type ModuleGraph } from "./module-graph.ts";
