/**
 * The Substreams source: streams a module's blocks from an endpoint, for as long as it takes.
 *
 * It asks with the newest protocol that the endpoint knows, goes on from the last cursor it gave out when a connection
 * ends, and passes undo signals on as they come, also for blocks it never delivered. Reconnecting is its business alone;
 * what it throws is for good.
 */
import { Request } from "@substreams/core/proto";
import { Fatal, Transient } from "../errors.ts";
import type { Log } from "../log.ts";
import type { Position } from "../position.ts";
import { backoffMs, type World } from "../world.ts";
import { Authorization } from "./authorization.ts";
import type { Credentials } from "./credentials.ts";
import { type Endpoint, parseEndpoint } from "./endpoint.ts";
import { serverStream } from "./grpc-client.ts";
import { formatStatus, GrpcCode, type GrpcStatus } from "./grpc-status.ts";
import type { SelectedModule } from "./module.ts";
import { parseRange, type Range } from "./range.ts";
import { fatalStatus, judge } from "./retry.ts";
import {
  type AnyResponse,
  blocksPath,
  limitField,
  PackageRequest,
  PROTOCOLS,
  type Protocol,
  responseType,
  type SignalMessage,
} from "./rpc.ts";
import { blockSignal, moduleFailure, undoSignal } from "./signals.ts";
import type { BlockSignal, Source } from "./source.ts";
import { SourceStatus } from "./status.ts";
import { Watchdog } from "./watchdog.ts";

const BACKOFF = { baseMs: 500, capMs: 60_000, floorMs: 100 } as const;
/** Failures without a single message after which the endpoint itself is doubted, in the log. */
const DOUBTFUL_AFTER = 5;

export interface SubstreamsOptions {
  readonly name: string;
  /** "host:port", or "http://host:port" for plain text. */
  readonly endpoint: string;
  /** Needed exactly when the endpoint is not on this machine. */
  readonly credentials: Credentials;
  readonly module: SelectedModule;
  /** See `parseRange`. */
  readonly startBlock: string;
  readonly stopBlock: string;
  /** "auto": for bounded ranges. Without it, undo signals may come. */
  readonly finalBlocksOnly: "auto" | boolean;
  readonly productionMode: boolean;
  /** Jobs that the provider may run for a stream at a time, if it would run more; 0: as it likes. */
  readonly parallelJobs: number;
  /** The provider refuses requests that make it process more blocks; 0: no limit. */
  readonly limitProcessedBlocks: number;
  /** "auto": the newest that the endpoint knows, remembered while this source lives. */
  readonly protocol: "auto" | Protocol;
  readonly compression: "gzip" | "none";
  /** Largest message accepted; a batch of v4 holds up to 100 blocks. */
  readonly maxMessageBytes: number;
  /** Connect again when nothing, not even progress, came for so long. */
  readonly idleTimeoutMs: number;
  /** Calls in a row that may bring no data before it gives up; 0: never. */
  readonly maxAttempts: number;
  /** HTTP/2 pings. */
  readonly keepaliveMs: number;
  /** Certificate authorities (PEM) to trust instead of the system's. */
  readonly ca?: string;
  /** Sees the message behind each signal right before the signal is given out: what a recording keeps. */
  readonly tap?: (message: SignalMessage) => void;
  readonly world: World;
  readonly log: Log;
}

/** How a call ended, and what is to be known to judge it. */
interface Outcome {
  readonly status: GrpcStatus;
  /** The server had sent something. */
  readonly heard: boolean;
  /** The error that it announced before it ended the call. */
  readonly failure: Fatal | null;
}

/** Where the stream stands, across calls. */
interface Standing {
  cursor: string;
  finalSlot: number;
}

export class SubstreamsSource implements Source {
  readonly name: string;
  readonly moduleHash: string;
  readonly status: SourceStatus;
  private readonly options: SubstreamsOptions;
  private readonly endpoint: Endpoint;
  private readonly authorization: Authorization;
  readonly range: Range;
  private readonly finalBlocksOnly: boolean;
  /** Versions not yet found wanting, newest first. */
  private protocols: readonly Protocol[];

  /** Throws `Fatal` ENDPOINT_INVALID, SUBSTREAMS_AUTH or RANGE_INVALID; connects only when `blocks` is read. */
  constructor(options: SubstreamsOptions) {
    this.name = options.name;
    this.moduleHash = options.module.hash;
    this.options = options;
    this.endpoint = parseEndpoint(options.endpoint);
    this.authorization = new Authorization(options.credentials, this.endpoint, options.world, options.ca);
    this.range = parseRange(options.startBlock, options.stopBlock, options.module.initialBlock);
    this.finalBlocksOnly = options.finalBlocksOnly === "auto" ? this.range.stop !== null : options.finalBlocksOnly;
    this.protocols = options.protocol === "auto" ? PROTOCOLS : [options.protocol];
    this.status = new SourceStatus(this.endpoint.origin, this.protocols[0]!);
  }

  /**
   * See `Source`. Returns without an "end" when `signal` aborts. Throws `Fatal`: SUBSTREAMS_AUTH, SUBSTREAMS_REQUEST,
   * SUBSTREAMS_ATTEMPTS, SUBSTREAMS_QUOTA, SUBSTREAMS_UNSUPPORTED, SUBSTREAMS_MODULE_FAILED, SUBSTREAMS_PROTOCOL, GRPC_MESSAGE_TOO_LARGE.
   */
  async *blocks(from: Position | null, signal: AbortSignal): AsyncGenerator<BlockSignal> {
    const standing: Standing = { cursor: from?.cursor ?? "", finalSlot: 0 };
    this.warnOfPlaintext();
    try {
      let complete = this.isComplete(from);
      while (!complete && !signal.aborted) {
        const outcome = yield* this.authorizedCall(standing, signal);
        if (!signal.aborted) complete = await this.settle(outcome, signal);
      }
      if (!complete) return;
      this.status.state = "ended";
      yield { kind: "end" };
    } catch (error) {
      if (signal.aborted) return;
      this.status.state = "error";
      this.status.lastError = error instanceof Error ? error.message : String(error);
      throw error;
    } finally {
      if (this.status.state !== "ended" && this.status.state !== "error") this.status.state = "idle";
    }
  }

  /** Asking for nothing is an error to some servers and lets others hang. */
  private isComplete(from: Position | null): boolean {
    const { stop } = this.range;
    if (from === null || stop === null) return false;
    // The block before the stop may yet be undone, unless only final ones are asked for.
    return from.slot >= stop || (this.finalBlocksOnly && from.slot === stop - 1);
  }

  private async *authorizedCall(standing: Standing, signal: AbortSignal): AsyncGenerator<BlockSignal, Outcome> {
    this.status.attempt(this.protocols[0]!, this.options.world.now());
    const { parallelJobs } = this.options;
    let headers: Record<string, string>;
    try {
      headers = await this.authorization.headers(signal);
      if (parallelJobs > 0) headers = { ...headers, "x-substreams-parallel-workers": String(parallelJobs) };
    } catch (error) {
      if (!(error instanceof Transient)) throw error;
      return { status: { code: GrpcCode.unavailable, message: error.message }, heard: false, failure: null };
    }
    this.status.tokenExpiresAt = this.authorization.expiresAt;
    return yield* this.call(standing, headers, signal);
  }

  private async *call(
    standing: Standing,
    headers: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): AsyncGenerator<BlockSignal, Outcome> {
    const { world, idleTimeoutMs } = this.options;
    const protocol = this.protocols[0]!;

    const ending = new AbortController();
    const end = () => ending.abort();
    signal.addEventListener("abort", end, { once: true });
    const watchdog = new Watchdog(world, idleTimeoutMs, end);
    const messages = this.open(protocol, standing, headers, ending.signal);
    const type = responseType(protocol);
    let heard = false;
    let failure: Fatal | null = null;
    try {
      for (;;) {
        const next = await watchdog.during(messages.next());
        if (next.done === true) {
          const silence = { code: GrpcCode.deadlineExceeded, message: `nothing came for ${idleTimeoutMs} ms` };
          return { status: watchdog.expired ? silence : this.masked(next.value), heard, failure };
        }
        this.count(next.value);
        heard = true;
        let message: AnyResponse;
        try {
          ({ message } = type.fromBinary(next.value));
        } catch (error) {
          const undecodable = { code: GrpcCode.internal, message: `a message cannot be decoded: ${error}` };
          return { status: undecodable, heard, failure };
        }
        if (message.case === "fatalError") failure = this.announced(moduleFailure(message.value, this.endpoint.origin));
        else yield* this.take(message, standing);
      }
    } finally {
      watchdog.stop();
      signal.removeEventListener("abort", end);
      ending.abort();
      await messages.return({ code: GrpcCode.canceled, message: "" });
    }
  }

  private open(
    protocol: Protocol,
    standing: Standing,
    headers: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): AsyncGenerator<Uint8Array, GrpcStatus> {
    const { compression, maxMessageBytes, keepaliveMs, ca, world } = this.options;
    return serverStream({
      origin: this.endpoint.origin,
      path: blocksPath(protocol),
      headers,
      message: this.request(protocol, standing.cursor),
      compression,
      messageBytesMax: maxMessageBytes,
      keepaliveMs,
      ...(ca === undefined ? {} : { ca }),
      world,
      signal,
    });
  }

  private request(protocol: Protocol, startCursor: string): Uint8Array {
    const { module, productionMode, limitProcessedBlocks } = this.options;
    const common = {
      startBlockNum: BigInt(this.range.start),
      startCursor,
      stopBlockNum: BigInt(this.range.stop ?? 0),
      finalBlocksOnly: this.finalBlocksOnly,
      productionMode,
      outputModule: module.name,
    };
    const limit = limitField(limitProcessedBlocks);
    if (protocol === "v2") {
      return Buffer.concat([new Request({ ...common, modules: module.modules }).toBinary(), limit]);
    }
    const { package: whole, params, network } = module;
    const request = new PackageRequest({ ...common, package: whole, params: { ...params }, network });
    return Buffer.concat([request.toBinary(), limit]);
  }

  private *take(message: AnyResponse, standing: Standing): Generator<BlockSignal> {
    const { module, world, tap } = this.options;
    const { status } = this;
    switch (message.case) {
      case "session":
        status.session(message.value);
        this.options.log("info", "Substreams session", {
          endpoint: this.endpoint.origin,
          protocol: status.protocol,
          traceId: status.traceId,
          resolvedStart: status.resolvedStart,
          chainHead: Number(message.value.chainHead),
          // What the provider bills before and for the range, as far as it says.
          blocksToPrepare: Number(message.value.effectiveBlocksToProcessBeforeStartBlock),
          blocksToProcess: Number(message.value.effectiveBlocksToProcessAfterStartBlock),
        });
        return;
      case "progress":
        status.advance(message.value);
        return;
      case "blockScopedData":
      case "blockScopedDatas":
        for (const data of message.case === "blockScopedDatas" ? message.value.items : [message.value]) {
          const signal = blockSignal(data, module);
          standing.cursor = signal.block.cursor;
          standing.finalSlot = Math.max(standing.finalSlot, signal.block.finalSlot);
          status.blocks++;
          status.failures = 0;
          status.lastDataAt = world.now();
          tap?.({ case: "blockScopedData", value: data });
          yield signal;
        }
        return;
      case "blockUndoSignal": {
        const signal = undoSignal(message.value, module, standing.finalSlot);
        standing.cursor = signal.to.cursor;
        status.undos++;
        tap?.(message);
        yield signal;
      }
    }
  }

  private count(message: Uint8Array): void {
    this.status.state = "streaming";
    this.status.messages++;
    this.status.receivedBytes += message.length;
    this.status.lastMessageAt = this.options.world.now();
  }

  /** Says whether the range is complete; otherwise it is time to call again. Throws when that cannot help. */
  private async settle(outcome: Outcome, signal: AbortSignal): Promise<boolean> {
    const { status, heard, failure } = outcome;
    const verdict = judge(status, heard);
    if (failure !== null && verdict !== "retry") throw failure;
    if (verdict === "complete" && this.range.stop !== null) return true;
    if (verdict === "fallback" && this.protocols.length > 1) {
      this.protocols = this.protocols.slice(1);
      this.options.log("info", "the endpoint does not know this version of the protocol, trying an older one", {
        refused: this.status.protocol,
        next: this.protocols[0],
      });
      return false;
    }
    const renewed = status.code === GrpcCode.unauthenticated && this.authorization.renew();
    if ((verdict === "fatal" || verdict === "fallback") && !renewed) throw fatalStatus(status, this.endpoint.origin);
    await this.backOff(verdict === "complete" ? "the endpoint closed the stream" : formatStatus(status), signal);
    return false;
  }

  private async backOff(reason: string, signal: AbortSignal): Promise<void> {
    const { world, log, maxAttempts } = this.options;
    const { status } = this;
    status.failedAttempts++;
    if (maxAttempts > 0 && status.failures + 1 >= maxAttempts) throw this.gaveUp(reason);
    const delayMs = Math.round(backoffMs(world, status.failures++, BACKOFF));
    status.state = "backing-off";
    status.lastError = reason;
    status.retryAt = world.now() + delayMs;
    log("warning", "the stream broke, connecting again", { reason, delayMs, failures: status.failures });
    if (status.messages === 0 && status.failures === DOUBTFUL_AFTER) {
      log("warning", "nothing ever came from this endpoint: check source.endpoint", { endpoint: status.endpoint });
    }
    await world.sleep(delayMs, signal);
  }

  private gaveUp(reason: string): Fatal {
    return new Fatal("SUBSTREAMS_ATTEMPTS", `gave up after ${this.options.maxAttempts} calls without data: ${reason}`, {
      where: this.endpoint.origin,
      hint: "Start it again when the endpoint is well; source.maxAttempts is how often it is tried, 0 is without end.",
      retry: "when asked",
    });
  }

  private announced(failure: Fatal): Fatal {
    this.options.log("error", failure.message, { endpoint: this.endpoint.origin, traceId: this.status.traceId });
    return failure;
  }

  private masked({ code, message }: GrpcStatus): GrpcStatus {
    return { code, message: this.authorization.mask(message) };
  }

  private warnOfPlaintext(): void {
    if (!this.endpoint.plaintext || this.endpoint.loopback) return;
    this.options.log("warning", "credentials go to this endpoint in plain text", { endpoint: this.endpoint.origin });
  }
}
