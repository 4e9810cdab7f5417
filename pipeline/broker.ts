/**
 * JetStream, as the pipeline needs it: publish with the expected last sequence, read in order from a sequence, read single
 * headers, purge. One message is one batch; a batch over the message limit is one atomic JetStream batch of chunks, so no
 * reader ever sees a part. Nothing here knows what a batch contains.
 */
import { isDeepStrictEqual } from "node:util";
import {
  type Consumer,
  type ConsumerMessages,
  DeliverPolicy,
  DiscardPolicy,
  type JetStreamClient,
  type JetStreamManager,
  jetstream,
  jetstreamManager,
  RetentionPolicy,
  StorageType,
  type StoredMsg,
  type StreamInfo,
} from "@nats-io/jetstream";
import { connect, type MsgHdrs, type NatsConnection } from "@nats-io/transport-node";
import { parseNatsUrl, withoutSecrets } from "./addresses.ts";
import { type Part, publishAtomic } from "./atomic-batch.ts";
import { apiCode, brokerError, FULL_CODES, noJetStream, noRoomFor } from "./broker-errors.ts";
import { type Bucket, Buckets } from "./buckets.ts";
import { Assembler, BATCH_HEADER, chunksOf, type Delivery } from "./chunks.ts";
import { ConnectionWatch } from "./connection-watch.ts";
import { Fatal, Transient } from "./errors.ts";
import { LIMITS } from "./limits.ts";
import { type BatchHeader, type Message, parseHeader } from "./wire/message.ts";

/** How long the server has for an answer; a batch may be large, and its disk slow. */
const TIMEOUT_MS = 15_000;
/** Readers that are gone are forgotten after so long. */
const READER_IDLE_MS = 30_000;
/** How often, and how long apart, room for a stream is asked for before the server counts as too small. */
const ROOM_ATTEMPTS = 5;
const ROOM_WAIT_MS = 200;
/** The last sequence that a publish expects to find: of the stream, or among the messages on its subject. */
const LAST_SEQUENCE = "Nats-Expected-Last-Sequence";
const LAST_ON_SUBJECT = "Nats-Expected-Last-Subject-Sequence";
/** No such message, no such stream. */
const NOT_FOUND_CODES = new Set([404, 10037, 10059]);

export interface BrokerOptions {
  /** Of one server or of several, see `parseNatsUrl`. */
  readonly url: string;
  readonly name: string;
  /** Credentials count before those in the URL; never logged. */
  readonly token?: string;
  readonly user?: string;
  readonly password?: string;
  /** Copies of each bucket, on a cluster; default 1. */
  readonly replicas?: number;
}

export interface StreamSpec {
  readonly name: string;
  readonly subjects: readonly string[];
  readonly maxBytes: number;
  /** Pipeline streams refuse when full (back-pressure); the live feed drops its oldest. */
  readonly whenFull: "refuse" | "drop-oldest";
  /** Oldest age kept, ms; 0 = no limit. */
  readonly maxAgeMs?: number;
  readonly replicas?: number;
}

export interface StreamState {
  readonly firstSeq: number;
  readonly lastSeq: number;
  readonly messages: number;
  readonly bytes: number;
  readonly maxBytes: number;
}

export interface StoredHeader {
  readonly seq: number;
  readonly subject: string;
  readonly header: BatchHeader;
}

/** What readers and sinks need of JetStream; the part that simulations replace. */
export type Streams = Pick<Broker, "publish" | "read" | "header" | "streamState">;

export class Broker {
  readonly connection: NatsConnection;
  private readonly js: JetStreamClient;
  private readonly jsm: JetStreamManager;
  private readonly watch: ConnectionWatch;
  private readonly buckets: Buckets;

  private constructor(connection: NatsConnection, jsm: JetStreamManager, replicas: number) {
    this.connection = connection;
    this.jsm = jsm;
    this.js = jetstream(connection, { timeout: TIMEOUT_MS });
    this.watch = new ConnectionWatch(connection);
    this.buckets = new Buckets(this.js, jsm, this.watch, replicas);
  }

  static async connect(options: BrokerOptions): Promise<Broker> {
    const address = parseNatsUrl(options.url);
    const given = options.token ?? options.user ?? options.password;
    const { token, user, password } = given === undefined ? address : options;
    let connection: NatsConnection;
    try {
      connection = await connect({
        servers: [...address.servers],
        name: options.name,
        ...(token === undefined ? {} : { token }),
        ...(user === undefined ? {} : { user }),
        ...(password === undefined ? {} : { pass: password }),
        maxReconnectAttempts: -1,
        reconnectTimeWait: 100,
        reconnectJitter: 100,
        timeout: 5_000,
      });
    } catch (cause) {
      const text = cause instanceof Error ? cause.message : String(cause);
      if (/authorization|authentication/i.test(text)) {
        throw new Fatal("NATS_AUTH", "the NATS server refused the credentials", {
          where: withoutSecrets(options.url),
          hint: "Check NATS_TOKEN, or NATS_USER and NATS_PASSWORD.",
        });
      }
      throw new Transient("NATS_UNREACHABLE", `cannot reach the NATS server: ${text}`, {
        where: withoutSecrets(options.url),
        hint: "Check NATS_URL, or leave it empty to use the embedded server.",
      });
    }
    try {
      const jsm = await jetstreamManager(connection, { timeout: TIMEOUT_MS });
      await jsm.getAccountInfo();
      return new Broker(connection, jsm, options.replicas ?? 1);
    } catch (cause) {
      await connection.close();
      throw noJetStream(cause, withoutSecrets(options.url));
    }
  }

  async close(): Promise<void> {
    await this.connection.close();
  }

  /** Largest message the server takes, bytes. */
  get maxPayload(): number {
    return this.connection.info?.max_payload ?? 1024 * 1024;
  }

  /** Creates the stream, or brings its limits up to date. Contents are never touched. */
  async ensureStream(spec: StreamSpec): Promise<void> {
    const config = {
      name: spec.name,
      subjects: [...spec.subjects],
      storage: StorageType.File,
      retention: RetentionPolicy.Limits,
      discard: spec.whenFull === "refuse" ? DiscardPolicy.New : DiscardPolicy.Old,
      max_bytes: spec.maxBytes,
      max_age: (spec.maxAgeMs ?? 0) * 1_000_000,
      num_replicas: spec.replicas ?? 1,
      allow_direct: true,
      allow_atomic: true,
    };
    for (let attempt = 1; ; attempt++) {
      // A server asked to add a stream that is there wants to reserve its room a second time: so we look first.
      const there = (await this.streamInfo(spec.name))?.config;
      if (there !== undefined && isDeepStrictEqual({ ...there, ...config }, there)) return;
      try {
        if (there === undefined) await this.jsm.streams.add(config);
        else await this.jsm.streams.update(spec.name, config);
        return;
      } catch (error) {
        if (!FULL_CODES.has(apiCode(error) ?? 0)) {
          throw brokerError(error, `${there === undefined ? "create" : "update"} the stream ${spec.name}`);
        }
        // Another process may have added it between our look and our request: the next look finds it.
        if (attempt === ROOM_ATTEMPTS) throw noRoomFor(spec, error);
        await Bun.sleep(ROOM_WAIT_MS);
      }
    }
  }

  async streamState(stream: string): Promise<StreamState | null> {
    const info = await this.streamInfo(stream);
    if (info === null) return null;
    const { first_seq, last_seq, messages, bytes } = info.state;
    return { firstSeq: first_seq, lastSeq: last_seq, messages, bytes, maxBytes: info.config.max_bytes };
  }

  private async streamInfo(stream: string): Promise<StreamInfo | null> {
    try {
      return await this.watch.whileConnected(this.jsm.streams.info(stream));
    } catch (error) {
      if (apiCode(error) === 10059) return null;
      throw brokerError(error, `look at the stream ${stream}`);
    }
  }

  /**
   * Stores the messages, all or none, if the stream's last sequence is the expected one; gives the new last sequence.
   * `Fenced` when it is not (nothing was stored); `STREAM_FULL` when there is no room (nothing was stored); any other
   * `Transient` leaves the outcome unknown: read the stream's end before going on.
   */
  async publish(
    stream: string,
    messages: readonly (Message & { subject: string })[],
    expectedLastSeq: number,
  ): Promise<number> {
    return this.store(stream, messages, [LAST_SEQUENCE, expectedLastSeq]);
  }

  /** As `publish`, of one message that expects what the last sequence on its subject is (0 = none); other subjects may grow. */
  async publishOnSubject(
    stream: string,
    message: Message & { subject: string },
    expectedLast: number,
  ): Promise<number> {
    return this.store(stream, [message], [LAST_ON_SUBJECT, expectedLast]);
  }

  private async store(
    stream: string,
    messages: readonly (Message & { subject: string })[],
    [expectation, seq]: readonly [header: string, seq: number],
  ): Promise<number> {
    const parts = messages.flatMap((m) => chunksOf(m));
    if (parts.length > LIMITS.atomicBatchMessagesMax) {
      throw new Fatal(
        "BATCH_TOO_LARGE",
        `a batch needs ${parts.length} messages, JetStream takes ${LIMITS.atomicBatchMessagesMax} at once`,
        {
          where: stream,
          hint: "Lower batch.maxBlocks, or filter the module's output more.",
        },
      );
    }
    parts[0]!.headers.set(expectation, String(seq));
    try {
      return await this.watch.whileConnected(this.storeAll(parts));
    } catch (error) {
      throw brokerError(error, `publish to ${stream}`);
    }
  }

  private async storeAll(parts: readonly Part[]): Promise<number> {
    if (parts.length > 1) return await publishAtomic(this.connection, parts, TIMEOUT_MS);
    const { subject, body, headers } = parts[0]!;
    return (await this.js.publish(subject, body, { headers })).seq;
  }

  /** Stores one message whatever the stream's last sequence; `id` makes a repeat within the server's window, of two minutes, a no-op. */
  async append(stream: string, subject: string, body: Uint8Array, hdrs: MsgHdrs, id: string): Promise<void> {
    try {
      await this.js.publish(subject, body, { headers: hdrs, msgID: id });
    } catch (error) {
      throw brokerError(error, `publish to ${stream}`);
    }
  }

  /** One message as it was stored; null when there is none. */
  async message(stream: string, seq: number): Promise<StoredMsg | null> {
    try {
      return await this.watch.whileConnected(this.jsm.streams.getMessage(stream, { seq }));
    } catch (error) {
      if (NOT_FOUND_CODES.has(apiCode(error) ?? 0)) return null;
      throw brokerError(error, `read from ${stream}`);
    }
  }

  /** Removes one message for good. False when it was gone already. */
  async deleteMessage(stream: string, seq: number): Promise<boolean> {
    try {
      return await this.watch.whileConnected(this.jsm.streams.deleteMessage(stream, seq));
    } catch (error) {
      if (NOT_FOUND_CODES.has(apiCode(error) ?? 0)) return false;
      throw brokerError(error, `delete from ${stream}`);
    }
  }

  /** The header of one message, or of the last on a subject; null when there is none. */
  async header(stream: string, at: { seq: number } | { lastOn: string }): Promise<StoredHeader | null> {
    const query = "seq" in at ? { seq: at.seq } : { last_by_subj: at.lastOn };
    return this.stored(stream, this.jsm.streams.getMessage(stream, query));
  }

  /** The header of the first message on a subject at or after a sequence; null when there is none. */
  async firstHeader(stream: string, subject: string, fromSeq: number): Promise<StoredHeader | null> {
    const query = { seq: Math.max(1, fromSeq), next_by_subj: subject };
    return this.stored(stream, this.jsm.direct.getMessage(stream, query));
  }

  private async stored(stream: string, answer: Promise<StoredMsg | null>): Promise<StoredHeader | null> {
    try {
      const message = await this.watch.whileConnected(answer);
      if (message === null) return null;
      return { seq: message.seq, subject: message.subject, header: parseHeader(message.header.get(BATCH_HEADER)) };
    } catch (error) {
      if (NOT_FOUND_CODES.has(apiCode(error) ?? 0)) return null;
      throw brokerError(error, `read from ${stream}`);
    }
  }

  /**
   * Reads in order from `fromSeq` on, as long as `signal` allows. Pulls are bound by bytes. Throws `Transient` when the
   * stream is gone or the server does not answer; the caller opens again and seeks by position.
   */
  async *read(
    stream: string,
    options: { fromSeq: number; subject: string; signal: AbortSignal },
  ): AsyncGenerator<Delivery> {
    let messages: ConsumerMessages | null = null;
    const stop = () => messages?.stop();
    try {
      const consumer: Consumer = await this.js.consumers.get(stream, {
        deliver_policy: DeliverPolicy.StartSequence,
        opt_start_seq: Math.max(1, options.fromSeq),
        filter_subjects: [options.subject],
        inactive_threshold: READER_IDLE_MS,
      });
      messages = await consumer.consume({
        max_bytes: LIMITS.readAheadBytes,
        expires: 5_000,
        abort_on_missing_resource: true,
      });
      options.signal.addEventListener("abort", stop, { once: true });
      // Its end is carried out by whoever iterates: without the loop below, closing would wait for ever.
      if (options.signal.aborted) stop();
      const assembler = new Assembler();
      for await (const message of messages) {
        const whole = assembler.add(message);
        if (whole !== null) yield whole;
        if (options.signal.aborted) return;
      }
      if (!options.signal.aborted) {
        throw new Transient("STREAM_READ", `reading ${stream} ended unexpectedly`, { where: stream });
      }
    } catch (error) {
      throw brokerError(error, `read ${stream}`);
    } finally {
      options.signal.removeEventListener("abort", stop);
      await messages?.close();
    }
  }

  /** Deletes messages below `beforeSeq`; the last message of the stream always stays (its header is the position). */
  async trim(stream: string, beforeSeq: number): Promise<void> {
    const state = await this.streamState(stream);
    if (state === null || state.messages <= 1) return;
    const keep = Math.min(beforeSeq, state.lastSeq);
    if (keep <= state.firstSeq) return;
    try {
      await this.jsm.streams.purge(stream, { seq: keep });
    } catch (error) {
      throw brokerError(error, `trim ${stream}`);
    }
  }

  /** Empties the stream, for a rebuild. Sequences go on from where they were. */
  async purge(stream: string): Promise<void> {
    try {
      await this.jsm.streams.purge(stream);
    } catch (error) {
      throw brokerError(error, `purge ${stream}`);
    }
  }

  /** Removes the stream with all that is in it; one that is not there is no error. */
  async deleteStream(stream: string): Promise<void> {
    if ((await this.streamState(stream)) === null) return;
    try {
      await this.jsm.streams.delete(stream);
    } catch (error) {
      throw brokerError(error, `delete ${stream}`);
    }
  }

  /** See `Buckets.bucket`. */
  kv(bucket: string, ttlMs = 0, kept: "on disk" | "in memory" = "on disk"): Bucket {
    return this.buckets.bucket(bucket, ttlMs, kept);
  }
}
