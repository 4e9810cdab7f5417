/** Calls of an endpoint that are answered once, by its last message: what it serves, what a range would cost. */
import { Transient } from "../errors.ts";
import type { World } from "../world.ts";
import { Authorization } from "./authorization.ts";
import type { Credentials } from "./credentials.ts";
import { parseEndpoint } from "./endpoint.ts";
import { serverStream } from "./grpc-client.ts";
import { formatStatus, GrpcCode } from "./grpc-status.ts";
import { fatalStatus, judge } from "./retry.ts";

/** An answer has some hundred bytes; that of an estimate some hundred for each segment sampled. */
const ANSWER_BYTES_MAX = 4 * 1024 * 1024;

/** Whom to ask, as `SubstreamsOptions` has it. */
export interface Asked {
  readonly endpoint: string;
  readonly credentials: Credentials;
  readonly ca?: string;
  readonly timeoutMs: number;
  readonly world: World;
  readonly signal: AbortSignal;
}

export interface Answer {
  readonly bytes: Uint8Array;
  /** The endpoint's address, for messages about what it said. */
  readonly where: string;
}

/**
 * The last message of the answer. Null: the endpoint does not offer this. Throws `Fatal` ENDPOINT_INVALID, SUBSTREAMS_AUTH
 * or what else a status stands for, `Transient` ENDPOINT_UNREACHABLE when no answer came, AUTH_EXCHANGE when the key could not
 * be exchanged.
 */
export async function ask(asked: Asked, path: string, message: Uint8Array): Promise<Answer | null> {
  const endpoint = parseEndpoint(asked.endpoint);
  const authorization = new Authorization(asked.credentials, endpoint, asked.world, asked.ca);
  const messages = serverStream({
    origin: endpoint.origin,
    path,
    headers: await authorization.headers(asked.signal),
    message,
    compression: "none",
    messageBytesMax: ANSWER_BYTES_MAX,
    keepaliveMs: asked.timeoutMs,
    ...(asked.ca === undefined ? {} : { ca: asked.ca }),
    world: asked.world,
    signal: AbortSignal.any([asked.signal, AbortSignal.timeout(asked.timeoutMs)]),
  });
  let last: Uint8Array | null = null;
  let next = await messages.next();
  for (; next.done !== true; next = await messages.next()) last = next.value;
  const status = { ...next.value, message: authorization.mask(next.value.message) };
  if (status.code === GrpcCode.ok && last !== null) return { bytes: last, where: endpoint.origin };
  const verdict = judge(status, last !== null);
  if (verdict === "fallback") return null;
  if (verdict === "fatal") throw fatalStatus(status, endpoint.origin);
  throw new Transient("ENDPOINT_UNREACHABLE", `the endpoint did not answer: ${formatStatus(status)}`, {
    where: endpoint.origin,
    hint: "Check source.endpoint, and that this host may connect to it.",
  });
}

export function undecodable(where: string, cause: unknown): Transient {
  return new Transient("ENDPOINT_UNREACHABLE", "the endpoint's answer cannot be decoded", { where, cause });
}
