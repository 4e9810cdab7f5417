/**
 * Key-value buckets of JetStream: leases, reports, wishes. A bucket is made when it is first used, and made anew when it is
 * lost with its server.
 */
import { type JetStreamClient, type JetStreamManager, StorageType } from "@nats-io/jetstream";
import { type KV, type KvEntry, Kvm } from "@nats-io/kv";
import { apiCode, brokerError, WRONG_LAST_SEQUENCE } from "./broker-errors.ts";
import type { ConnectionWatch } from "./connection-watch.ts";

/** An entry of a key-value bucket; `operation` is "PUT" unless it was deleted. */
export type Entry = Pick<KvEntry, "revision" | "operation" | "string" | "json">;

/**
 * A key-value bucket. Entries that nobody renews end with the bucket's life span. `create` and `update` reject with
 * `Fenced` when the key has another revision than expected; everything else that goes wrong is `Transient`.
 */
export interface Bucket {
  get(key: string): Promise<Entry | null>;
  put(key: string, value: Uint8Array): Promise<number>;
  create(key: string, value: Uint8Array): Promise<number>;
  update(key: string, value: Uint8Array, revision: number): Promise<number>;
  delete(key: string, revision?: number): Promise<void>;
  keys(): Promise<AsyncIterable<string>>;
}

export class Buckets {
  private readonly js: JetStreamClient;
  private readonly jsm: JetStreamManager;
  private readonly watch: ConnectionWatch;
  /** Copies of each, on a cluster. */
  private readonly replicas: number;
  private readonly opened = new Map<string, Promise<KV>>();

  constructor(js: JetStreamClient, jsm: JetStreamManager, watch: ConnectionWatch, replicas: number) {
    this.js = js;
    this.jsm = jsm;
    this.watch = watch;
    this.replicas = replicas;
  }

  /**
   * The bucket of that name; `ttlMs` is the life of an entry that nobody renews (0 = for ever). Made when first used. One
   * in memory is gone when the server restarts, and can be written when its disk is full.
   */
  bucket(name: string, ttlMs = 0, kept: "on disk" | "in memory" = "on disk"): Bucket {
    const storage = kept === "on disk" ? StorageType.File : StorageType.Memory;
    const open = () => this.open(name, ttlMs, storage);
    const use = <T>(action: (kv: KV) => Promise<T>): Promise<T> => this.use(name, open, action);
    return {
      get: (key) => use((kv) => kv.get(key)),
      put: (key, value) => use((kv) => kv.put(key, value)),
      create: (key, value) => use((kv) => kv.create(key, value)),
      update: (key, value, revision) => use((kv) => kv.update(key, value, revision)),
      delete: (key, revision) =>
        use((kv) => kv.delete(key, revision === undefined ? undefined : { previousSeq: revision })),
      keys: () => use((kv) => kv.keys()),
    };
  }

  /** Makes the bucket, or brings one that is there up to date: the client leaves that as it is. */
  private async open(name: string, ttlMs: number, storage: StorageType): Promise<KV> {
    const { replicas } = this;
    const kv = await new Kvm(this.js).create(name, { ttl: ttlMs, replicas, history: 1, storage });
    const { config } = (await kv.status()).streamInfo;
    const wanted = { max_age: ttlMs * 1_000_000, num_replicas: replicas };
    if (config.max_age !== wanted.max_age || config.num_replicas !== wanted.num_replicas) {
      // A window for repeats may not be longer than the life span; 0 leaves it to the server.
      await this.jsm.streams.update(config.name, { ...config, ...wanted, duplicate_window: 0 });
    }
    return kv;
  }

  private async use<T>(name: string, open: () => Promise<KV>, action: (kv: KV) => Promise<T>): Promise<T> {
    let opened = this.opened.get(name);
    if (opened === undefined) {
      opened = open();
      this.opened.set(name, opened);
    }
    try {
      return await this.watch.whileConnected(opened.then(action));
    } catch (error) {
      // A bucket may be lost with its server: the next use makes it anew.
      if (apiCode(error) !== WRONG_LAST_SEQUENCE) this.opened.delete(name);
      throw brokerError(error, `use the bucket ${name}`);
    }
  }
}
