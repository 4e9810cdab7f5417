/**
 * What tokens' `uri` say, fetched in the background and kept in a small file of its own: asking for a token never waits
 * for a stranger's server. A token's document is fetched when the token is first told of; a few at a time, three tries.
 */
import { Database } from "bun:sqlite";
import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { classify } from "../../pipeline/errors.ts";
import type { Log } from "../../pipeline/log.ts";
import type { World } from "../../pipeline/world.ts";
import { type FetchOptions, fetchDocument } from "./fetch.ts";
import { addressFor, type Metadata, metadataIn } from "./uri.ts";

const TRIES = 3;
const PAUSE_MS = 5_000;
const AT_ONCE = 4;
/** Documents that wait; beyond, they are taken up when they are asked for again. */
const WAITING_MAX = 2_000;
/** After this long, what could not be had is tried again, ms. */
const AGAIN_MS = 6 * 3_600_000;
/** Answers held in memory. */
const HELD_MAX = 10_000;

export interface MetadataOptions {
  /** SQLite file; ":memory:" keeps nothing. */
  readonly file: string;
  readonly gateway: string;
  readonly world: Pick<World, "now" | "sleep">;
  readonly log: Log;
  readonly fetch?: Pick<FetchOptions, "limits" | "resolve">;
}

interface Held {
  readonly metadata: Metadata | null;
  /** When a failure is tried again, ms since the Unix epoch; null for a success. */
  readonly againAt: number | null;
}

export class TokenMetadata {
  /** Grows with each document that came: answers made before may lack it. */
  revision = 0;
  private readonly options: MetadataOptions;
  private readonly db: Database;
  private readonly held = new Map<string, Held>();
  private readonly waiting = new Set<string>();
  private readonly stopping = new AbortController();
  private running = 0;

  constructor(options: MetadataOptions) {
    this.options = options;
    if (options.file !== ":memory:") mkdirSync(dirname(options.file), { recursive: true });
    this.db = new Database(options.file, { create: true, strict: true });
    this.db.run("PRAGMA journal_mode = WAL");
    this.db.run("PRAGMA busy_timeout = 2000");
    this.db.run("CREATE TABLE IF NOT EXISTS metadata (uri TEXT PRIMARY KEY, json TEXT, again_at INTEGER) STRICT");
  }

  /** What is known; what is not is fetched for the next time. */
  of(uri: string | null): Metadata | null {
    if (uri === null || uri === "" || uri.length > 2_048) return null;
    const held = this.held.get(uri) ?? this.load(uri);
    const isDue = held === null || (held.againAt !== null && held.againAt <= this.options.world.now());
    if (isDue) this.want(uri);
    return held?.metadata ?? null;
  }

  /** Resolves when nothing waits to be fetched. For tests and shutdown. */
  async idle(): Promise<void> {
    while (this.running > 0 || (this.waiting.size > 0 && !this.stopping.signal.aborted)) await Bun.sleep(5);
  }

  async close(): Promise<void> {
    this.stopping.abort();
    this.waiting.clear();
    await this.idle();
    this.db.close();
  }

  private load(uri: string): Held | null {
    const row = this.db
      .query<{ json: string | null; again_at: number | null }, [string]>(
        "SELECT json, again_at FROM metadata WHERE uri = ?",
      )
      .get(uri);
    if (row === null) return null;
    const held = { metadata: row.json === null ? null : metadataIn(row.json), againAt: row.again_at };
    this.hold(uri, held);
    return held;
  }

  private hold(uri: string, held: Held): void {
    if (this.held.size >= HELD_MAX) this.held.delete(this.held.keys().next().value!);
    this.held.set(uri, held);
  }

  private want(uri: string): void {
    if (this.waiting.size >= WAITING_MAX || this.stopping.signal.aborted) return;
    this.waiting.add(uri);
    while (this.running < AT_ONCE && this.waiting.size > this.running) {
      this.running++;
      this.work().finally(() => this.running--);
    }
  }

  /** Fetches what waits, one after the other, until nothing does. */
  private async work(): Promise<void> {
    for (;;) {
      const uri = this.next();
      if (uri === null) return;
      const metadata = await this.fetched(uri);
      this.busy.delete(uri);
      this.waiting.delete(uri);
      if (this.stopping.signal.aborted) return;
      const againAt = metadata === null ? this.options.world.now() + AGAIN_MS : null;
      const json = metadata === null ? null : JSON.stringify(metadata);
      this.db.query("INSERT OR REPLACE INTO metadata (uri, json, again_at) VALUES (?, ?, ?)").run(uri, json, againAt);
      this.hold(uri, { metadata, againAt });
      if (metadata !== null) this.revision++;
    }
  }

  private readonly busy = new Set<string>();

  private next(): string | null {
    for (const uri of this.waiting) {
      if (this.busy.has(uri)) continue;
      this.busy.add(uri);
      return uri;
    }
    return null;
  }

  private async fetched(uri: string): Promise<Metadata | null> {
    const { gateway, world, log, fetch = {} } = this.options;
    const address = addressFor(uri, gateway);
    if (address === null) return null;
    const trustedHost = URL.parse(gateway)?.host ?? "";
    for (let attempt = 1; !this.stopping.signal.aborted; attempt++) {
      try {
        return metadataIn(await fetchDocument(address, { ...fetch, trustedHost }));
      } catch (error) {
        const { code, kind } = classify(error);
        log("debug", "a token's metadata could not be had", { code, attempt });
        if (kind !== "transient" || attempt === TRIES) return null;
        await world.sleep(PAUSE_MS, this.stopping.signal).catch(() => undefined);
      }
    }
    return null;
  }
}
