/** Sorts what the NATS client throws by what the caller should do, with words of our own. */
import type { StreamSpec } from "./broker.ts";
import { Fatal, Fenced, SluiceError, Transient } from "./errors.ts";

/** JetStream's error code for a failed `Nats-Expected-Last-Sequence`. */
export const WRONG_LAST_SEQUENCE = 10071;
/** Codes with which a stream or server that is full refuses a message: nothing was stored. */
export const FULL_CODES = new Set([10023, 10047, 10077]);
const JETSTREAM_HINT =
  "Start nats-server with -js (or a jetstream block in its configuration) and enable it for this account.";

export function apiCode(error: unknown): number | undefined {
  const code = (error as { code?: unknown }).code;
  return typeof code === "number" ? code : undefined;
}

/** Sorts what the client throws by what the caller should do. */
export function brokerError(error: unknown, what: string): SluiceError {
  if (error instanceof SluiceError) return error;
  const text = error instanceof Error ? error.message : String(error);
  const code = apiCode(error);
  if (code === WRONG_LAST_SEQUENCE) {
    return new Fenced("STREAM_FENCED", `cannot ${what}: another writer has written to it`, { cause: error });
  }
  if (code !== undefined && FULL_CODES.has(code)) {
    return new Transient("STREAM_FULL", `cannot ${what}: ${text}`, {
      hint: "A later stage is behind, or the disk is full. It goes on by itself when there is room again.",
      cause: error,
    });
  }
  if (code === 10039 || code === 10076) return noJetStream(error, what);
  // The client calls both "JetStream is not enabled"; what is gone is made again, so neither is for good.
  if ((error instanceof Error && error.name === "JetStreamNotEnabled") || text.startsWith("no responders")) {
    return new Transient("NATS_NO_ANSWER", `cannot ${what}: nobody answers for it`, {
      hint: `It is gone and will be made again, or the server has come back without JetStream. ${JETSTREAM_HINT}`,
      cause: error,
    });
  }
  return new Transient("NATS_REQUEST", `cannot ${what}: ${text}`, { cause: error });
}

/** JetStream reserves what streams may grow to. */
export function noRoomFor({ name, maxBytes }: StreamSpec, cause: unknown): Transient {
  const text = cause instanceof Error ? cause.message : String(cause);
  return new Transient("NATS_STORAGE", `the server cannot reserve ${maxBytes} bytes for the stream ${name}: ${text}`, {
    where: "nats.url",
    hint: "Lower streams.*MaxBytes, or give the server more room (max_file_store, or the limits of the account).",
    cause,
  });
}

export function noJetStream(cause: unknown, where: string): SluiceError {
  const text = cause instanceof Error ? cause.message : String(cause);
  if (/timeout|closed|disconnect/i.test(text))
    return new Transient("NATS_REQUEST", `JetStream does not answer: ${text}`, { where, cause });
  return new Fatal("NATS_NO_JETSTREAM", "the NATS server does not offer JetStream to us", {
    where,
    hint: JETSTREAM_HINT,
    cause,
  });
}
