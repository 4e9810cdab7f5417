/** gRPC statuses: their codes, and how they stand in HTTP/2 headers, statuses and resets. Shared by client and server. */
import type { IncomingHttpHeaders } from "node:http2";

export const GrpcCode = {
  ok: 0,
  canceled: 1,
  unknown: 2,
  invalidArgument: 3,
  deadlineExceeded: 4,
  notFound: 5,
  alreadyExists: 6,
  permissionDenied: 7,
  resourceExhausted: 8,
  failedPrecondition: 9,
  aborted: 10,
  outOfRange: 11,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
  dataLoss: 15,
  unauthenticated: 16,
} as const;

/** How a call ended. */
export interface GrpcStatus {
  /** One of `GrpcCode`, or a number that nobody has defined. */
  readonly code: number;
  readonly message: string;
}

const NAMES = new Map<number, string>(Object.entries(GrpcCode).map(([name, code]) => [code, name]));

export function formatStatus({ code, message }: GrpcStatus): string {
  const name = NAMES.get(code) ?? `code ${code}`;
  return message === "" ? name : `${name}: ${message}`;
}

/** The status in trailers, or in the headers of a response without a body. Null when there is none. */
export function statusFromHeaders(headers: IncomingHttpHeaders): GrpcStatus | null {
  const code = headers["grpc-status"];
  if (typeof code !== "string" || !/^\d+$/.test(code)) return null;
  const message = headers["grpc-message"];
  return { code: Number(code), message: typeof message === "string" ? decodeMessage(message) : "" };
}

/** For answers that are not gRPC's, of proxies for example. Mapping: gRPC, "HTTP to gRPC Status Code Mapping". */
export function statusFromHttp(status: number | undefined): GrpcStatus {
  const message = `HTTP status ${status ?? "unknown"}, not a gRPC answer`;
  switch (status) {
    case 400:
      return { code: GrpcCode.internal, message };
    case 401:
      return { code: GrpcCode.unauthenticated, message };
    case 403:
      return { code: GrpcCode.permissionDenied, message };
    case 404:
      return { code: GrpcCode.unimplemented, message };
    case 429:
    case 502:
    case 503:
    case 504:
      return { code: GrpcCode.unavailable, message };
    default:
      return { code: GrpcCode.unknown, message };
  }
}

/** Trailers for a status. */
export function statusTrailers({ code, message }: GrpcStatus): Record<string, string> {
  const trailers: Record<string, string> = { "grpc-status": String(code) };
  if (message !== "") trailers["grpc-message"] = encodeMessage(message);
  return trailers;
}

/** Percent-encodes what is not printable ASCII, as gRPC wants it. */
function encodeMessage(text: string): string {
  const bytes = new TextEncoder().encode(text);
  return Array.from(bytes, (b) =>
    b >= 0x20 && b <= 0x7e && b !== 0x25 ? String.fromCharCode(b) : `%${b.toString(16).toUpperCase().padStart(2, "0")}`,
  ).join("");
}

/** Never fails: what is not properly encoded stays as it is. */
function decodeMessage(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch (error) {
    if (error instanceof URIError) return text;
    throw error;
  }
}
