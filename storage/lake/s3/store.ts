/**
 * Objects in a bucket of any S3-compatible service. A key is created by a conditional write (`If-None-Match: *`), the
 * service's own compare-and-set; where a service ignores the condition, a lock can stand in for it.
 *
 * Nothing is believed that was not seen: after a write the object is looked at, because an answer may be lost after the
 * object was stored, and a proxy may say 200 to what failed.
 */
import { createReadStream } from "node:fs";
import { open, stat } from "node:fs/promises";
import {
  DeleteObjectCommand,
  GetObjectCommand,
  type GetObjectCommandOutput,
  HeadObjectCommand,
  type HeadObjectCommandOutput,
  ListObjectsV2Command,
  PutObjectCommand,
  type S3Client,
} from "@aws-sdk/client-s3";
import { Fatal, Transient } from "../../../pipeline/errors.ts";
import type { World } from "../../../pipeline/world.ts";
import type { FileCache } from "../file-cache.ts";
import { checkKey, isKey, type ObjectBody, type ObjectStore, type PutOutcome, sha256Of } from "../store.ts";
import { type Bucket, makeClient, RETRY, type RetryLimits, retrying, type S3Options } from "./client.ts";
import { isMissing, isTaken, s3Error } from "./errors.ts";

/** One writer at a time, for services that ignore conditions. */
export interface WriteLock {
  /** Runs `action` while the lock is held; rejects with `Transient` when it cannot be had, or was lost meanwhile. */
  hold<T>(action: () => Promise<T>): Promise<T>;
}

export interface S3StoreOptions extends S3Options {
  readonly bucket: Bucket;
  readonly cache: FileCache;
  readonly world: World;
  /** Stands in for conditional writes. Absent: they are used. */
  readonly lock?: WriteLock;
  /** How long an operation is tried. Default: 10 times within a minute. */
  readonly retry?: RetryLimits;
}

/** Entries, not data files. */
const SMALL_BYTES_MAX = 64 * 1024 * 1024;
/** A body gets a second more for so many bytes. */
const SLOWEST_BYTES_PER_SECOND = 256 * 1024;

interface Seen {
  readonly bytes: number;
  /** As its writer said; null where it was written by another program. */
  readonly sha256: string | null;
  readonly modifiedAt: number;
}

export class S3Store implements ObjectStore {
  readonly name: string;
  private readonly o: S3StoreOptions;
  private client: S3Client | null = null;

  constructor(options: S3StoreOptions) {
    this.o = options;
    this.name = `s3://${options.bucket.bucket}/${options.bucket.prefix}`;
  }

  async putIfAbsent(key: string, body: ObjectBody, sha256: string): Promise<PutOutcome> {
    checkKey(key);
    // A file's is compared by the service, which gets it with the signature.
    if (!("path" in body) && sha256Of(body) !== sha256) {
      throw new Fatal("LAKE_CHECKSUM", "the bytes to store do not match their checksum");
    }
    const bytes = "path" in body ? (await stat(body.path)).size : body.length;
    return this.retrying(key, () => {
      const put = () => this.put(key, body, bytes, sha256);
      return this.o.lock === undefined ? put() : this.o.lock.hold(put);
    });
  }

  async get(key: string): Promise<Uint8Array | null> {
    checkKey(key);
    return this.retrying(key, () =>
      this.read(key, async ({ pieces, bytes, sha256 }) => {
        if (bytes > SMALL_BYTES_MAX) throw new Fatal("LAKE_OBJECT_SIZE", `${key} has ${bytes} bytes: not an entry`);
        const parts: Uint8Array[] = [];
        for await (const piece of pieces) parts.push(piece);
        const content = new Uint8Array(Buffer.concat(parts));
        this.requireWhole(key, content.length, bytes);
        if (sha256 !== null && sha256Of(content) !== sha256) throw this.damaged(key);
        return content;
      }),
    );
  }

  async head(key: string): Promise<{ bytes: number; modifiedAt: number } | null> {
    checkKey(key);
    const seen = await this.retrying(key, () => this.look(key));
    return seen === null ? null : { bytes: seen.bytes, modifiedAt: seen.modifiedAt };
  }

  async list(prefix: string): Promise<string[]> {
    const { bucket, prefix: root } = this.o.bucket;
    const keys: string[] = [];
    for (let token: string | undefined; ; ) {
      const page = await this.retrying(prefix, async () => {
        const next = token === undefined ? {} : { ContinuationToken: token };
        const command = new ListObjectsV2Command({ Bucket: bucket, Prefix: root + prefix, ...next });
        return this.connected().send(command, this.limits(0));
      });
      for (const { Key } of page.Contents ?? []) if (Key !== undefined) keys.push(Key.slice(root.length));
      if (page.IsTruncated !== true) return keys.sort();
      token = page.NextContinuationToken;
      if (token === undefined) throw new Transient("LAKE_S3_ANSWER", "a listing was cut off", { where: this.name });
    }
  }

  async delete(key: string): Promise<void> {
    checkKey(key);
    await this.retrying(key, () =>
      this.connected()
        .send(new DeleteObjectCommand(this.place(key)), this.limits(0))
        .catch(nullIfMissing),
    );
    await this.o.cache.drop(key);
  }

  async checksum(key: string): Promise<string | null> {
    checkKey(key);
    return this.retrying(key, () =>
      this.read(key, async ({ pieces, bytes }) => {
        const hasher = new Bun.CryptoHasher("sha256");
        let received = 0;
        for await (const piece of pieces) {
          hasher.update(piece);
          received += piece.length;
        }
        this.requireWhole(key, received, bytes);
        return hasher.digest("hex");
      }),
    );
  }

  async localPath(key: string): Promise<string | null> {
    checkKey(key);
    // An object never changes: where there is a copy, nobody need be asked.
    const copy = await this.o.cache.copyOf(key);
    if (copy !== null) return copy;
    const found = await this.head(key);
    if (found === null) return null;
    return this.o.cache.path(key, found.bytes, (path) => this.download(key, path));
  }

  release(key: string): void {
    this.o.cache.release(key);
  }

  private async put(key: string, body: ObjectBody, bytes: number, sha256: string): Promise<PutOutcome> {
    const condition = this.o.lock === undefined ? { IfNoneMatch: "*" } : {};
    if (this.o.lock !== undefined && (await this.look(key)) !== null) return this.compare(key, sha256);
    const command = new PutObjectCommand({
      ...this.place(key),
      ...condition,
      Body: "path" in body ? createReadStream(body.path) : body,
      ContentLength: bytes,
      ChecksumSHA256: Buffer.from(sha256, "hex").toString("base64"),
      Metadata: { sha256 },
    });
    signPayload(command, sha256);
    try {
      await this.connected().send(command, this.limits(bytes));
    } catch (error) {
      if (isTaken(error)) return this.compare(key, sha256);
      throw error;
    }
    const seen = await this.look(key);
    if (seen?.bytes === bytes && (seen.sha256 ?? sha256) === sha256) return "created";
    // Under a lock that ran out, another writer may have been there.
    if (seen !== null && this.o.lock !== undefined) return this.compare(key, sha256);
    throw new Transient("LAKE_S3_ANSWER", "the store said that it has stored an object, and does not show it", {
      where: this.name + key,
    });
  }

  /** What an object that is there is to a writer of these bytes: read whole, since it may have been damaged. */
  private async compare(key: string, sha256: string): Promise<PutOutcome> {
    const found = await this.checksum(key);
    if (found !== null) return found === sha256 ? "exists-same" : "exists-other";
    throw new Transient("LAKE_S3_ANSWER", "the store says that an object exists, and does not show it", {
      where: this.name + key,
    });
  }

  private async look(key: string): Promise<Seen | null> {
    const head = await this.connected()
      .send(new HeadObjectCommand(this.place(key)), this.limits(0))
      .catch(nullIfMissing);
    return head === null ? null : this.seen(key, head);
  }

  /** Null when there is no such object. The body has a time limit as well: a store may stop in the middle. */
  private async read<T>(
    key: string,
    use: (object: Seen & { readonly pieces: AsyncIterable<Uint8Array> }) => Promise<T>,
  ): Promise<T | null> {
    const found = await this.connected()
      .send(new GetObjectCommand(this.place(key)), this.limits(0))
      .catch(nullIfMissing);
    if (found === null) return null;
    const { bytes, sha256, modifiedAt } = this.seen(key, found);
    const { body, stop } = bodyOf(found);
    const { abortSignal } = this.limits(bytes);
    const onAbort = () => stop(abortSignal.reason);
    abortSignal.addEventListener("abort", onAbort, { once: true });
    try {
      return await use({ pieces: body, bytes, sha256, modifiedAt });
    } finally {
      abortSignal.removeEventListener("abort", onAbort);
    }
  }

  /** Every service names an object's ETag; a proxy that says 200 to what failed does not. */
  private seen(key: string, found: HeadObjectCommandOutput | GetObjectCommandOutput): Seen {
    const { ETag, ContentLength, LastModified, Metadata } = found;
    if (ETag !== undefined) {
      // Without a time it is as if it were stored just now: then nothing is removed for its age.
      const modifiedAt = LastModified?.getTime() ?? this.o.world.now();
      return { bytes: ContentLength ?? 0, sha256: Metadata?.["sha256"] ?? null, modifiedAt };
    }
    throw new Transient("LAKE_S3_ANSWER", "the answer is not that of an object", { where: this.name + key });
  }

  private async download(key: string, path: string): Promise<void> {
    await this.retrying(key, async () => {
      const done = await this.read(key, async ({ pieces, bytes, sha256 }) => {
        const hasher = new Bun.CryptoHasher("sha256");
        const file = await open(path, "w");
        try {
          let received = 0;
          for await (const piece of pieces) {
            hasher.update(piece);
            await file.writeFile(piece);
            received += piece.length;
          }
          this.requireWhole(key, received, bytes);
        } finally {
          await file.close();
        }
        if (sha256 !== null && hasher.digest("hex") !== sha256) throw this.damaged(key);
        return true;
      });
      if (done === null) throw new Transient("LAKE_S3_ANSWER", `${key} is gone`, { where: this.name });
    });
  }

  private requireWhole(key: string, received: number, bytes: number): void {
    if (received === bytes) return;
    const what = `${received} of ${bytes} bytes came`;
    throw new Transient("LAKE_S3_ANSWER", what, { where: this.name + key });
  }

  /** On the way, or in the store: only trying again tells. */
  private damaged(key: string): Transient {
    return new Transient("LAKE_S3_CHECKSUM", "an object does not have the checksum it was stored with", {
      where: this.name + key,
      hint: "`sluice verify` tells whether it is damaged in the store.",
    });
  }

  private place(key: string): { Bucket: string; Key: string } {
    return { Bucket: this.o.bucket.bucket, Key: this.o.bucket.prefix + key };
  }

  private limits(bytes: number): { abortSignal: AbortSignal } {
    return { abortSignal: AbortSignal.timeout(this.o.timeoutMs + (1000 * bytes) / SLOWEST_BYTES_PER_SECOND) };
  }

  private connected(): S3Client {
    this.client ??= makeClient(this.o);
    return this.client;
  }

  private retrying<T>(key: string, action: () => Promise<T>): Promise<T> {
    const where = this.name + (isKey(key) ? key : "");
    return retrying(this.o.world, this.o.retry ?? RETRY, where, async () => {
      try {
        return await action();
      } catch (error) {
        const failure = s3Error(error, where);
        // A new client reads credentials anew.
        if (failure.code === "LAKE_S3_CREDENTIALS") this.client = null;
        throw failure;
      }
    });
  }
}

/** The checksum is known: the SDK need not read a file twice to sign it, and the service refuses what arrives damaged. */
function signPayload(command: PutObjectCommand, sha256: string): void {
  command.middlewareStack.add(
    (next) => async (args) => {
      const { headers } = args.request as { headers: Record<string, string> };
      headers["x-amz-content-sha256"] = sha256;
      return next(args);
    },
    { step: "build", name: "payloadChecksum" },
  );
}

function nullIfMissing(error: unknown): null {
  if (isMissing(error)) return null;
  throw error;
}

function bodyOf({ Body }: GetObjectCommandOutput): { body: AsyncIterable<Uint8Array>; stop: (why: Error) => void } {
  const body = Body as (AsyncIterable<Uint8Array> & { destroy?: (why: Error) => void }) | undefined;
  if (body === undefined) throw new Transient("LAKE_S3_ANSWER", "an object came without a body");
  return { body, stop: (why) => body.destroy?.(why) };
}
