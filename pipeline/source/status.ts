/** What a source is doing, as plain numbers and texts for metrics, `doctor` and the API. Changed in place. */
import type { ModulesProgress, Protocol, SessionInit } from "./rpc.ts";

/** waiting: for a stream, of which the provider allows only so many. */
export type SourceState = "idle" | "waiting" | "connecting" | "streaming" | "backing-off" | "ended" | "error";

/** What the server has prepared so far, while it sends no data. */
export interface SourceProgress {
  readonly runningJobs: number;
  readonly processedBlocks: number;
  readonly stages: readonly {
    readonly modules: readonly string[];
    /** Slots, the end inclusive or exclusive as the server means it. */
    readonly completedRanges: readonly (readonly [start: number, end: number])[];
    /** 0: the server does not say. */
    readonly readyUpToExclusive: number;
  }[];
}

export class SourceStatus {
  state: SourceState = "idle";
  readonly endpoint: string;
  /** Version in use or tried next. */
  protocol: Protocol;
  /** Calls made, and of those the ones after a first that had brought something. */
  attempts = 0;
  reconnects = 0;
  /** Calls that ended before the range was complete. */
  failedAttempts = 0;
  /** Calls in a row that brought no data. */
  failures = 0;
  /** Wall clock, ms; 0: never. */
  lastMessageAt = 0;
  lastDataAt = 0;
  lastAttemptAt = 0;
  /** When the next call will be made, while backing off. */
  retryAt = 0;
  /** Uncompressed; what providers bill is close to it. */
  receivedBytes = 0;
  messages = 0;
  blocks = 0;
  undos = 0;
  /** Of the current session; what the provider's support asks for. */
  traceId = "";
  resolvedStart = 0;
  /** Slot of the chain's head when the session began; 0: the server did not say. */
  chainHead = 0;
  /** What the server says it has to process before the first block. */
  blocksToPrepare = 0;
  progress: SourceProgress | null = null;
  lastError: string | null = null;
  /** When the token in use runs out, ms since the Unix epoch; 0: not known, or there is none. */
  tokenExpiresAt = 0;

  constructor(endpoint: string, protocol: Protocol) {
    this.endpoint = endpoint;
    this.protocol = protocol;
  }

  /** A call is about to be made. */
  attempt(protocol: Protocol, now: number): void {
    this.protocol = protocol;
    this.state = "connecting";
    this.attempts++;
    this.lastAttemptAt = now;
    if (this.messages > 0) this.reconnects++;
  }

  session(session: SessionInit): void {
    this.traceId = session.traceId;
    this.resolvedStart = Number(session.resolvedStartBlock);
    this.chainHead = Number(session.chainHead);
    this.blocksToPrepare = Number(session.effectiveBlocksToProcessBeforeStartBlock);
    this.progress = null;
  }

  advance(progress: ModulesProgress): void {
    this.progress = {
      runningJobs: progress.runningJobs.length,
      processedBlocks: Number(progress.processedBlocks),
      stages: progress.stages.map((stage) => ({
        modules: stage.modules,
        completedRanges: stage.completedRanges.map((r) => [Number(r.startBlock), Number(r.endBlock)] as const),
        readyUpToExclusive: Number(stage.readyUpToExclusive),
      })),
    };
  }
}
