/** What to do when a call has ended: the rules of the Substreams clients, in one table. */
import { Fatal } from "../errors.ts";
import { formatStatus, GrpcCode, type GrpcStatus } from "./grpc-status.ts";

/**
 * - `complete`: the range is done, even when its last block was below the stop block (chains skip).
 * - `retry`: connect again, later.
 * - `fallback`: the server does not know this version of the protocol.
 * - `fatal`: connecting again would end the same way.
 */
export type Verdict = "complete" | "retry" | "fallback" | "fatal";

/** Older servers refuse a cursor that stands right before the stop block, instead of ending at once. */
const EMPTY_RANGE = /start block and stop block are the same/i;
/** The one exhaustion that does not pass; others mean "no free stream right now". */
const QUOTA = /quota exceeded/i;

/** `heard`: the server had sent something in this call, so it knows the protocol. */
export function judge(status: GrpcStatus, heard: boolean): Verdict {
  switch (status.code) {
    case GrpcCode.ok:
      return "complete";
    case GrpcCode.invalidArgument:
      return EMPTY_RANGE.test(status.message) ? "complete" : "fatal";
    case GrpcCode.unauthenticated:
    case GrpcCode.permissionDenied:
    case GrpcCode.failedPrecondition:
      return "fatal";
    case GrpcCode.resourceExhausted:
      return QUOTA.test(status.message) ? "fatal" : "retry";
    case GrpcCode.unimplemented:
    case GrpcCode.notFound:
      return heard ? "fatal" : "fallback";
    default:
      return "retry";
  }
}

const ADVICE: Readonly<Record<number, readonly [code: string, hint: string]>> = {
  [GrpcCode.unauthenticated]: [
    "SUBSTREAMS_AUTH",
    "Check SUBSTREAMS_JWT_TOKEN (it may have expired) or SUBSTREAMS_API_KEY with your provider.",
  ],
  [GrpcCode.permissionDenied]: [
    "SUBSTREAMS_AUTH",
    "The credentials are known but not allowed to do this. Check your plan and the network with your provider.",
  ],
  [GrpcCode.invalidArgument]: [
    "SUBSTREAMS_REQUEST",
    "The endpoint refuses the request: check package, module, params, start and stop block. A stored cursor of another network or module is refused as well.",
  ],
  [GrpcCode.failedPrecondition]: [
    "SUBSTREAMS_REQUEST",
    "A limit set for the request was reached before it began: its message says how much source.limitProcessedBlocks would have to allow.",
  ],
  [GrpcCode.resourceExhausted]: ["SUBSTREAMS_QUOTA", "The provider's quota is used up. It is raised or renewed there."],
  [GrpcCode.unimplemented]: ["SUBSTREAMS_UNSUPPORTED", "Check that source.endpoint is a Substreams endpoint."],
  [GrpcCode.notFound]: ["SUBSTREAMS_UNSUPPORTED", "Check that source.endpoint is a Substreams endpoint."],
};

/** The error for a call that has ended for good. */
export function fatalStatus(status: GrpcStatus, where: string): Fatal {
  const [code, hint] = ADVICE[status.code] ?? ["SUBSTREAMS_REQUEST", "See the endpoint's message."];
  return new Fatal(code, formatStatus(status), { where, hint });
}
