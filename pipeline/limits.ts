/**
 * Hard limits: numbers that keep memory and messages bounded and that nobody needs to tune. What a user may change lives
 * in `config.ts`.
 */
export const LIMITS = {
  /** Largest JetStream message, bytes. Well under nats-server's default max_payload of 1 MiB; larger bodies are chunked. */
  messageBytesMax: 512 * 1024,
  /** Largest header of a message, bytes: JetStream refuses 64 KiB for all headers together. */
  headerBytesMax: 60 * 1024,
  /** Messages of one atomic JetStream batch (server limit: 1,000). Bounds a chunked body to 500 MiB. */
  atomicBatchMessagesMax: 1000,
  /** Uncompressed bytes of one batch. A batch over it is refused before it is decompressed. */
  batchRawBytesMax: 512 * 1024 * 1024,
  /** Read-ahead of one stream reader, bytes: pulls are bound by bytes, never by count alone. */
  readAheadBytes: 4 * 1024 * 1024,
  /** What ingest keeps of blocks it has published, for a decoder in the same process, bytes: two batches of the usual size. */
  rememberedBytesMax: 24 * 1024 * 1024,
  /** zstd level for messages: 1 costs least; the spool is short-lived. */
  zstdLevel: 1,
  /** Blocks at or below the final slot that an output remembers to recognise re-delivered ones. */
  recentFinalBlocks: 512,
  /** Growth of the heap, buffers included, after which a stage process collects garbage. */
  heapGrowthBytes: 32 * 1024 * 1024,
  /** The same for a process that has nothing to do just now: early enough that hardly any collection of all comes in a block's way. */
  heapGrowthIdleBytes: 12 * 1024 * 1024,
  /** Errors kept for `/api/indexer/status`. */
  recentErrorsMax: 20,
  /** Characters of each that a unit reports: all units of a process report in one message. Logs have the whole text. */
  errorCharactersMax: 2_000,
  /** Log lines that a process keeps for `/api/indexer/logs`, and the length at which a line is cut there, characters. */
  logLinesKept: 1_000,
  logLineCharactersMax: 4_000,
  /** Bytes of an unreadable message kept in quarantine. */
  quarantineBytesMax: 256 * 1024,
  /** Slots may be at most this far beyond the final slot before a journal is considered runaway. */
  unfinalBlocksMax: 5_000,
} as const;
