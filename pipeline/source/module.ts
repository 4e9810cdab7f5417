/**
 * Choosing the module to stream from a package. Servers of v3 and v4 apply network and params themselves; for v2, and to
 * know the module's hash, the same is done here.
 */
import { createModuleGraph, type ModuleGraph } from "@substreams/core";
import { type Module, Modules, type Package } from "@substreams/core/proto";
import { closest } from "../closest.ts";
import { Fatal } from "../errors.ts";
import { moduleHash } from "./module-hash.ts";
import { mapModules, type SubstreamsPackage } from "./package.ts";

/** What a package's module has as initial block when it inherits that of its inputs: the largest 64-bit number. */
const INITIAL_BLOCK_UNSET = 2n ** 64n - 1n;

export interface ModuleChoice {
  /** Name of a map module. */
  readonly module: string;
  /** "module=value" each, applied after the network's own. */
  readonly params?: readonly string[];
  /** Network whose params and initial blocks to apply, instead of the package's. */
  readonly network?: string;
}

export interface SelectedModule {
  readonly name: string;
  /** Type of its output, for example "sf.substreams.solana.v1.Transactions". */
  readonly typeName: string;
  /** First slot it has output for. */
  readonly initialBlock: number;
  /** Hex; covers code, params and initial blocks of the module and all it depends on. */
  readonly hash: string;
  /** What v3 and v4 are asked with: everything as it is, and what to apply to it. Network: empty when unknown. */
  readonly package: Package;
  readonly params: Readonly<Record<string, string>>;
  readonly network: string;
  /** What v2 is asked with: the module and what it depends on, with everything applied. */
  readonly modules: Modules;
}

/**
 * Throws `Fatal`: MODULE_UNKNOWN (names the nearest and all that there are), MODULE_KIND for stores and indexes,
 * MODULE_PARAMS, MODULE_NETWORK, PACKAGE_CORRUPT when initial blocks contradict each other.
 */
export function selectModule(from: SubstreamsPackage, choice: ModuleChoice): SelectedModule {
  mustBeMap(from, choice.module);
  const params = parseParams(from, choice.params ?? []);
  const network = choice.network === undefined || choice.network === "" ? from.network : choice.network;
  const modules = from.modules.clone();
  applyNetwork(modules, from, network, choice.network === network);
  applyParams(modules, from, params);

  const graph = createModuleGraph(modules.modules);
  const target = modules.modules.find((module) => module.name === choice.module)!;
  const initialBlockOf = initialBlocks(graph, from);
  const initialBlock = Number(initialBlockOf(target));
  if (!Number.isSafeInteger(initialBlock)) throw contradiction(from, target, "initial block out of range");
  return {
    name: target.name,
    typeName: target.kind.case === "kindMap" ? target.kind.value.outputType.replace(/^proto:/, "") : "",
    initialBlock,
    hash: moduleHash(modules, graph, target, initialBlockOf),
    package: from.proto,
    params,
    network,
    modules: prune(modules, [target, ...graph.ancestorsOf(target)], initialBlockOf),
  };
}

function mustBeMap(from: SubstreamsPackage, name: string): void {
  const names = mapModules(from.modules).map((module) => module.name);
  if (names.includes(name)) return;
  const module = from.modules.modules.find((other) => other.name === name);
  if (module !== undefined) {
    throw new Fatal("MODULE_KIND", `module "${name}" is ${KINDS[module.kind.case!]}, not a map`, {
      where: from.where,
      hint: `Only maps can be streamed: ${list(names)}.`,
    });
  }
  throw unknownModule(from, name, names, "source.module");
}

const KINDS = { kindMap: "a map", kindStore: "a store", kindBlockIndex: "a block index" } as const;

function unknownModule(from: SubstreamsPackage, name: string, names: readonly string[], setting: string): Fatal {
  const near = closest(name, names);
  const meant = near === null ? "" : `Did you mean "${near}"? `;
  return new Fatal("MODULE_UNKNOWN", `the package has no module "${name}"`, {
    where: `${setting}, ${from.where}`,
    hint: `${meant}There is: ${list(names)}.`,
  });
}

function list(names: readonly string[]): string {
  return names.length <= 30 ? names.join(", ") : `${names.slice(0, 30).join(", ")} and ${names.length - 30} more`;
}

function parseParams(from: SubstreamsPackage, params: readonly string[]): Record<string, string> {
  const parsed = new Map<string, string>();
  for (const param of params) {
    const at = param.indexOf("=");
    if (at <= 0) {
      throw new Fatal("MODULE_PARAMS", "a param is not of the form module=value", { where: "source.params" });
    }
    parsed.set(param.slice(0, at), param.slice(at + 1));
  }
  const names = from.modules.modules.map((module) => module.name);
  for (const name of parsed.keys()) if (!names.includes(name)) throw unknownModule(from, name, names, "source.params");
  return Object.fromEntries(parsed);
}

function applyParams(modules: Modules, from: SubstreamsPackage, params: Readonly<Record<string, string>>): void {
  for (const module of modules.modules) {
    const value = Object.hasOwn(params, module.name) ? params[module.name] : undefined;
    if (value === undefined) continue;
    const input = module.inputs[0]?.input;
    if (input?.case !== "params") {
      throw new Fatal("MODULE_PARAMS", `module "${module.name}" takes no params`, {
        where: `source.params, ${from.where}`,
      });
    }
    input.value.value = value;
  }
}

/** A network that is asked for must be there, unless the package makes no difference between networks. */
function applyNetwork(modules: Modules, from: SubstreamsPackage, network: string, asked: boolean): void {
  const networks = from.proto.networks;
  const known = Object.keys(networks);
  if (known.length === 0 || network === "") return;
  const chosen = Object.hasOwn(networks, network) ? networks[network] : undefined;
  if (chosen === undefined) {
    if (!asked) return;
    throw new Fatal("MODULE_NETWORK", `the package is not made for network "${network}"`, {
      where: `source.network, ${from.where}`,
      hint: `It knows: ${list(known)}.`,
    });
  }
  applyParams(modules, from, chosen.params);
  for (const module of modules.modules) {
    if (Object.hasOwn(chosen.initialBlocks, module.name)) module.initialBlock = chosen.initialBlocks[module.name]!;
  }
}

/** Resolves a module's initial block: its own, or that of its inputs, which must agree; without any, the chain's first. */
function initialBlocks(graph: ModuleGraph, from: SubstreamsPackage): (module: Module) => bigint {
  const known = new Map<Module, bigint>();
  const resolve = (module: Module): bigint => {
    const before = known.get(module);
    if (before !== undefined) return before;
    const inherit = module.initialBlock === INITIAL_BLOCK_UNSET;
    const blocks = new Set(inherit ? graph.parentsOf(module).map(resolve) : [module.initialBlock]);
    if (blocks.size > 1) throw contradiction(from, module, "its inputs begin at different blocks");
    const [block = 0n] = blocks;
    known.set(module, block);
    return block;
  };
  return resolve;
}

function contradiction(from: SubstreamsPackage, module: Module, what: string): Fatal {
  return new Fatal("PACKAGE_CORRUPT", `module "${module.name}": ${what}`, { where: from.where });
}

/** The wanted modules, in the package's order, with only the code they use. */
function prune(modules: Modules, wanted: readonly Module[], initialBlockOf: (module: Module) => bigint): Modules {
  const binaries: Modules["binaries"] = [];
  const kept = modules.modules.filter((module) => wanted.includes(module));
  return new Modules({
    modules: kept.map((module) => {
      const binary = modules.binaries[module.binaryIndex]!;
      let binaryIndex = binaries.indexOf(binary);
      if (binaryIndex === -1) binaryIndex = binaries.push(binary) - 1;
      const copy = module.clone();
      copy.binaryIndex = binaryIndex;
      copy.initialBlock = initialBlockOf(module);
      return copy;
    }),
    binaries,
  });
}
