/**
 * Serves a recording as a Substreams endpoint: real gRPC on loopback, in all versions of the protocol. For tests, demos
 * and benchmarks; it is fast enough to be the load of an end-to-end one.
 *
 * What a client sees is what was recorded, forks and undo signals included, from wherever it starts:
 * - a cursor wins over a start block. One that nobody recorded is refused. When its block was taken back later in the
 *   recording, the undo signal that does so comes first, and then what follows it.
 * - a start block is absolute, 0 for the first, or negative for so many before the last; the stop block is exclusive.
 * - with final blocks only, blocks come that were final at the end of the recording, and no undo signals.
 * - at the end of the recording a stream with a stop block ends; one without goes on with progress messages.
 */
import { type Fault, FaultPlan } from "./faults.ts";
import { frameOf, type GrpcServer, type ServerCall, serveGrpc } from "./grpc-server.ts";
import { GrpcCode } from "./grpc-status.ts";
import { Playback, type PlaybackOptions } from "./playback.ts";
import { blocksPath, INFO_PATH, InfoResponse, type Protocol } from "./rpc.ts";
import { Tape } from "./tape.ts";

/** The name of Solana's main network in the registry of networks. */
export const SOLANA = "solana-mainnet-beta";

export interface ReplayOptions extends PlaybackOptions {
  /** Path of the recording. */
  readonly recording: string;
  /** A loopback address. */
  readonly host: string;
  /** 0 picks a free one. */
  readonly port: number;
  /** Versions to speak; others are answered with `unimplemented`. */
  readonly protocols: readonly Protocol[];
  /** Compress for clients that accept it. */
  readonly gzip: boolean;
  /** Token or API key that clients must bring; null: none. */
  readonly requireToken: string | null;
  /** What `EndpointInfo/Info` names as the chain; null: the method is unknown, as it is to many endpoints. */
  readonly chain: string | null;
  /** What goes wrong, and where; each as often as it says, over all calls. */
  readonly plan?: readonly Fault[];
  /** Where the unpacked blocks go; undefined: the system's folder for temporary files. */
  readonly scratchFolder?: string;
}

export interface Replay {
  readonly port: number;
  /** Lowest and highest slot, and the module whose output it is; empty when the recording does not say. */
  readonly first: number;
  readonly last: number;
  readonly module: string;
  close(): Promise<void>;
}

/** Resolves when it listens. Throws `Fatal` RECORDING_MISSING, RECORDING_CORRUPT, RECORDING_TRUNCATED, SERVER_ADDRESS. */
export async function serveReplay(options: ReplayOptions): Promise<Replay> {
  const tape = await Tape.open(options.recording, options.scratchFolder);
  const plan = new FaultPlan(options.plan ?? [], tape.range.first);
  let calls = 0;
  const handle = async (call: ServerCall): Promise<void> => {
    const protocol = options.protocols.find((version) => blocksPath(version) === call.path);
    const info = call.path === INFO_PATH ? options.chain : null;
    if (protocol === undefined && info === null) {
      return call.finish({ code: GrpcCode.unimplemented, message: `unknown method ${call.path}` });
    }
    if (!admits(options.requireToken, call)) {
      return call.finish({ code: GrpcCode.unauthenticated, message: "a token or API key is required" });
    }
    if (info !== null) {
      await call.send(frameOf(infoOf(info, tape.range.first).toBinary()));
      return call.finish();
    }
    if (protocol === undefined) return;
    const status = await new Playback(tape, options, plan, call, protocol, calls++).run();
    if (status !== null) call.finish(status);
  };
  let server: GrpcServer;
  try {
    server = await serveGrpc({ host: options.host, port: options.port, gzip: options.gzip, handle });
  } catch (error) {
    await tape.close();
    throw error;
  }
  return {
    port: server.port,
    ...tape.range,
    module: tape.module,
    async close() {
      await server.close();
      await tape.close();
    },
  };
}

function infoOf(chain: string, first: number): InfoResponse {
  const chainNameAliases = chain === SOLANA ? ["solana", "sol"] : [];
  return new InfoResponse({ chainName: chain, chainNameAliases, firstStreamableBlockNum: BigInt(first) });
}

function admits(token: string | null, { headers }: ServerCall): boolean {
  return token === null || headers.authorization === `Bearer ${token}` || headers["x-api-key"] === token;
}
