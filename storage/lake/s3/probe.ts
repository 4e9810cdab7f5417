/**
 * What is found out about a bucket before anything is written to it: that it is there, and that of several writers who
 * create the same key at once exactly one succeeds. The manifest rests on that.
 */
import { randomUUID } from "node:crypto";
import {
  CreateBucketCommand,
  DeleteObjectCommand,
  HeadBucketCommand,
  PutObjectCommand,
  type S3Client,
} from "@aws-sdk/client-s3";
import { Fatal, Transient } from "../../../pipeline/errors.ts";
import type { World } from "../../../pipeline/world.ts";
import { type Bucket, makeClient, RETRY, type RetryLimits, retrying, type S3Options } from "./client.ts";
import { answerOf, isTaken, s3Error } from "./errors.ts";

export interface ProbeOptions extends S3Options {
  readonly bucket: Bucket;
  readonly world: World;
  /** Make a bucket that is missing. */
  readonly createBucket: boolean;
  readonly retry?: RetryLimits;
}

export interface ProbeResult {
  readonly created: boolean;
  /** Keys are created once, whoever writes. */
  readonly conditionalWrites: boolean;
}

const WRITERS = 6;
/** Objects of the probe; removed at its end. */
export const PROBE_PREFIX = "probe/";

/**
 * Throws `Fatal` LAKE_BUCKET_MISSING, and whatever else `s3Error` says of a bucket that cannot be used; `Transient` when
 * it cannot be reached.
 */
export async function probeBucket(options: ProbeOptions): Promise<ProbeResult> {
  const { bucket, prefix } = options.bucket;
  const where = `s3://${bucket}/${prefix}`;
  const client = makeClient(options);
  const send = <T>(action: (limits: { abortSignal: AbortSignal }) => Promise<T>) =>
    retrying(options.world, options.retry ?? RETRY, where, () =>
      action({ abortSignal: AbortSignal.timeout(options.timeoutMs) }),
    );
  try {
    const created = await send((limits) => ensureBucket(client, options, limits));
    const conditionalWrites = await send((limits) => createsOnce(client, bucket, prefix, limits));
    return { created, conditionalWrites };
  } finally {
    client.destroy();
  }
}

async function ensureBucket(
  client: S3Client,
  { bucket: { bucket }, createBucket, region }: ProbeOptions,
  limits: { abortSignal: AbortSignal },
): Promise<boolean> {
  try {
    await client.send(new HeadBucketCommand({ Bucket: bucket }), limits);
    return false;
  } catch (error) {
    const { code, status } = answerOf(error);
    // Whoever may read and write objects need not be allowed to ask for the bucket; and why a HEAD is wrong only the next request says.
    if (status === 400 || (status === 403 && !/Invalid|Signature|Token/.test(code))) return false;
    if (status !== 404) throw error;
  }
  if (!createBucket) throw s3Error({ name: "NoSuchBucket", $metadata: { httpStatusCode: 404 } }, `s3://${bucket}`);
  try {
    const place = region === "us-east-1" ? {} : { CreateBucketConfiguration: { LocationConstraint: region } };
    await client.send(new CreateBucketCommand({ Bucket: bucket, ...place } as { Bucket: string }), limits);
  } catch (error) {
    if (answerOf(error).code !== "BucketAlreadyOwnedByYou") throw error;
  }
  return true;
}

/** Several writers at once on a fresh key: with conditional writes exactly one of them creates it. */
async function createsOnce(
  client: S3Client,
  bucket: string,
  prefix: string,
  limits: { abortSignal: AbortSignal },
): Promise<boolean> {
  const place = { Bucket: bucket, Key: `${prefix}${PROBE_PREFIX}${randomUUID()}` };
  const writes = Array.from({ length: WRITERS }, (_, writer) =>
    client.send(new PutObjectCommand({ ...place, IfNoneMatch: "*", Body: `writer ${writer}` }), limits),
  );
  const results = await Promise.allSettled(writes);
  await client.send(new DeleteObjectCommand(place), limits);
  const stored = results.filter((r) => r.status === "fulfilled").length;
  const refused = results.flatMap((r) => (r.status === "rejected" ? [r.reason as unknown] : []));
  const unsupported = refused.some((error) => answerOf(error).status === 501);
  const other = refused.find((error) => !isTaken(error) && ![409, 501].includes(answerOf(error).status ?? 0));
  if (other !== undefined) throw other;
  if (unsupported || stored > 1) return false;
  if (stored === 1) return true;
  throw new Transient("LAKE_S3_ANSWER", "of several writers at once none succeeded", { where: `s3://${bucket}` });
}

/** What to say of a store on which two archives could overwrite each other's entries. */
export function noConditionalWrites(where: string): Fatal {
  return new Fatal("LAKE_S3_UNSAFE", "the store ignores conditional writes: two archives could overwrite each other", {
    where,
    hint:
      "Use a store that honours If-None-Match (AWS S3, Garage 2, versitygw, R2, MinIO), or let a lease in NATS stand in " +
      "for it with lake.s3.conditionalWrites=lease: then only processes of this NATS server may write to the bucket.",
  });
}
