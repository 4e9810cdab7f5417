/** Substreams packages (.spkg, protobuf `sf.substreams.v1.Package`): reading one that anybody may have made. */
import { createModuleGraph, createSubstream } from "@substreams/core";
import { type Module, type Modules, Package } from "@substreams/core/proto";
import { Fatal } from "../errors.ts";
import { checkMessageSize } from "../message-size.ts";
import { PACKAGE_LIMITS, type PackageLimits, readPackage } from "./package-file.ts";

/** Servers accept 100. */
const MODULES_MAX = 1_000;
/** At all depths. Real packages have some ten thousand. */
const FIELDS_MAX = 1_000_000;

export interface SubstreamsPackage {
  /** Path or URL it came from, for messages. */
  readonly where: string;
  readonly name: string;
  readonly version: string;
  /** Network it was made for; empty when it does not say. */
  readonly network: string;
  /** As it was read; never changed. Its `protoFiles` describe the types of all outputs. */
  readonly proto: Package;
  readonly modules: Modules;
}

/** Reads a package from a file or an https URL. Throws what `readPackage` and `parsePackage` throw. */
export async function loadPackage(
  location: string,
  limits: PackageLimits = PACKAGE_LIMITS,
): Promise<SubstreamsPackage> {
  return parsePackage(await readPackage(location, limits), location);
}

/**
 * Decodes and checks a package: after this its modules exist, are named once, have a kind and code, and depend on each
 * other without a cycle. Throws `Fatal` PACKAGE_CORRUPT with what is wrong. Damage inside code or text is not noticed
 * here: the format has no checksum.
 */
export function parsePackage(bytes: Uint8Array, where: string): SubstreamsPackage {
  if (bytes.length === 0) throw corrupt(where, "it is empty");
  let proto: Package;
  try {
    checkMessageSize(Package, bytes, FIELDS_MAX);
    proto = createSubstream(bytes);
  } catch (error) {
    throw corrupt(where, error instanceof Error ? error.message : String(error), error);
  }
  const { modules } = proto;
  if (modules === undefined || modules.modules.length === 0) throw corrupt(where, "it holds no modules");
  if (proto.moduleMeta.length !== modules.modules.length || proto.packageMeta.length === 0) {
    throw corrupt(where, "its descriptions do not match its modules");
  }
  checkModules(modules, where);
  return {
    where,
    name: proto.packageMeta[0]?.name ?? "",
    version: proto.packageMeta[0]?.version ?? "",
    network: proto.network,
    proto,
    modules,
  };
}

function checkModules(modules: Modules, where: string): void {
  if (modules.modules.length > MODULES_MAX) throw corrupt(where, `it holds more than ${MODULES_MAX} modules`);
  const names = new Set<string>();
  for (const module of modules.modules) {
    const about = `module ${JSON.stringify(module.name.slice(0, 100))}`;
    if (module.name === "" || names.has(module.name)) throw corrupt(where, `${about} is there twice or has no name`);
    names.add(module.name);
    if (module.kind.case === undefined) throw corrupt(where, `${about} has no kind`);
    if (modules.binaries[module.binaryIndex] === undefined) throw corrupt(where, `${about} has no code`);
  }
  try {
    createModuleGraph(modules.modules);
  } catch (error) {
    throw corrupt(where, error instanceof Error ? error.message.slice(0, 500) : String(error), error);
  }
}

/** The map modules of a package, which are the ones that can be streamed. */
export function mapModules(modules: Modules): Module[] {
  return modules.modules.filter((module) => module.kind.case === "kindMap");
}

function corrupt(where: string, what: string, cause?: unknown): Fatal {
  return new Fatal("PACKAGE_CORRUPT", `this is no whole Substreams package: ${what}`, {
    where,
    hint: "Download or build the .spkg again. It is a file as `substreams pack` writes it, not a web page about one.",
    ...(cause === undefined ? {} : { cause }),
  });
}
