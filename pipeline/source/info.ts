/**
 * What an endpoint says of itself: which chain it serves and from which block on. Many endpoints offer it, none must; so
 * what follows from it is advice, and its absence is no error.
 */
import { Transient } from "../errors.ts";
import type { World } from "../world.ts";
import { Authorization } from "./authorization.ts";
import type { Credentials } from "./credentials.ts";
import { parseEndpoint } from "./endpoint.ts";
import { serverStream } from "./grpc-client.ts";
import { formatStatus, GrpcCode, type GrpcStatus } from "./grpc-status.ts";
import type { SelectedModule } from "./module.ts";
import { fatalStatus, judge } from "./retry.ts";
import { INFO_PATH, InfoResponse } from "./rpc.ts";

/** An answer has some hundred bytes. */
const ANSWER_BYTES_MAX = 1024 * 1024;

export interface EndpointInfo {
  /** Empty when the endpoint does not say. */
  readonly chain: string;
  readonly aliases: readonly string[];
  /** First slot that it serves. */
  readonly firstSlot: number;
}

export interface InfoCall {
  /** As `SubstreamsOptions` has them. */
  readonly endpoint: string;
  readonly credentials: Credentials;
  readonly ca?: string;
  readonly timeoutMs: number;
  readonly world: World;
  readonly signal: AbortSignal;
}

/**
 * Asks the endpoint. Null: it does not offer this. Throws `Fatal` ENDPOINT_INVALID, SUBSTREAMS_AUTH or what else a status
 * stands for, `Transient` ENDPOINT_UNREACHABLE when no answer came, AUTH_EXCHANGE when the key could not be exchanged.
 */
export async function endpointInfo(call: InfoCall): Promise<EndpointInfo | null> {
  const endpoint = parseEndpoint(call.endpoint);
  const authorization = new Authorization(call.credentials, endpoint, call.world, call.ca);
  const messages = serverStream({
    origin: endpoint.origin,
    path: INFO_PATH,
    headers: await authorization.headers(call.signal),
    message: new Uint8Array(0),
    compression: "none",
    messageBytesMax: ANSWER_BYTES_MAX,
    keepaliveMs: call.timeoutMs,
    ...(call.ca === undefined ? {} : { ca: call.ca }),
    world: call.world,
    signal: AbortSignal.any([call.signal, AbortSignal.timeout(call.timeoutMs)]),
  });
  let answer: Uint8Array | null = null;
  let status: GrpcStatus;
  for (;;) {
    const next = await messages.next();
    if (next.done === true) {
      status = { ...next.value, message: authorization.mask(next.value.message) };
      break;
    }
    answer = next.value;
  }
  if (status.code === GrpcCode.ok && answer !== null) return parsed(answer, endpoint.origin);
  const verdict = judge(status, answer !== null);
  if (verdict === "fallback") return null;
  if (verdict === "fatal") throw fatalStatus(status, endpoint.origin);
  throw new Transient("ENDPOINT_UNREACHABLE", `the endpoint did not answer: ${formatStatus(status)}`, {
    where: endpoint.origin,
    hint: "Check source.endpoint, and that this host may connect to it.",
  });
}

function parsed(bytes: Uint8Array, where: string): EndpointInfo {
  let answer: InfoResponse;
  try {
    answer = InfoResponse.fromBinary(bytes);
  } catch (cause) {
    throw new Transient("ENDPOINT_UNREACHABLE", "the endpoint's answer cannot be decoded", { where, cause });
  }
  return {
    chain: answer.chainName,
    aliases: answer.chainNameAliases,
    firstSlot: Number(answer.firstStreamableBlockNum),
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
