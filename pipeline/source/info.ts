/**
 * What an endpoint says of itself: which chain it serves and from which block on. Many endpoints offer it, none must; so
 * what follows from it is advice, and its absence is no error.
 */
import { type Asked, ask, undecodable } from "./ask.ts";
import type { SelectedModule } from "./module.ts";
import { INFO_PATH, InfoResponse } from "./rpc.ts";

export interface EndpointInfo {
  /** Empty when the endpoint does not say. */
  readonly chain: string;
  readonly aliases: readonly string[];
  /** First slot that it serves. */
  readonly firstSlot: number;
}

/** Asks the endpoint. Null: it does not offer this. Throws what `ask` throws. */
export async function endpointInfo(asked: Asked): Promise<EndpointInfo | null> {
  const answer = await ask(asked, INFO_PATH, new Uint8Array(0));
  if (answer === null) return null;
  let info: InfoResponse;
  try {
    info = InfoResponse.fromBinary(answer.bytes);
  } catch (cause) {
    throw undecodable(answer.where, cause);
  }
  return {
    chain: info.chainName,
    aliases: info.chainNameAliases,
    firstSlot: Number(info.firstStreamableBlockNum),
  };
}

/** What speaks against streaming `module` from `startSlot` (negative: from the head) there; empty when nothing does. */
export function mismatches(
  info: EndpointInfo,
  module: Pick<SelectedModule, "name" | "network">,
  startSlot: number,
): string[] {
  const found: string[] = [];
  const names = [info.chain, ...info.aliases].filter((name) => name !== "").map((name) => name.toLowerCase());
  if (module.network !== "" && names.length > 0 && !names.includes(module.network.toLowerCase())) {
    found.push(`the package is for network "${module.network}", the endpoint serves "${names.join('" or "')}"`);
  }
  if (startSlot > 0 && startSlot < info.firstSlot) {
    found.push(`the range begins at slot ${startSlot}, the endpoint's history at ${info.firstSlot}`);
  }
  return found;
}
