/**
 * Where a bucket is and how it is spoken to. The SDK signs and sends; whether something is tried again is decided here,
 * because only we know which outcomes are unknown and which are not.
 */
import { readFileSync } from "node:fs";
import { Agent } from "node:https";
import { S3Client } from "@aws-sdk/client-s3";
import { Fatal, type SluiceError, Transient } from "../../../pipeline/errors.ts";
import { backoffMs, type World } from "../../../pipeline/world.ts";
import { s3Error } from "./errors.ts";

export interface Bucket {
  readonly bucket: string;
  /** Begins every key; "" or ends with "/". */
  readonly prefix: string;
}

export interface S3Options {
  /** Address of the service; "" is AWS. */
  readonly endpoint: string;
  readonly region: string;
  /** The bucket in the path or in the host name. "auto": in the path where an endpoint is named. */
  readonly pathStyle: "auto" | "path" | "virtual-host";
  /** PEM file of a certificate authority to trust; "" for the system's. */
  readonly caFile: string;
  /** "": the usual chain (variables, profile, role). */
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken: string;
  /** Longest wait for an answer, ms; a body gets more time by its size. */
  readonly timeoutMs: number;
}

/** `s3://bucket/prefix`. Throws `Fatal` LAKE_URL. */
export function parseBucketUrl(url: string): Bucket {
  const match = /^s3:\/\/([a-z0-9][a-z0-9._-]{1,62})(?:\/(.*))?$/.exec(url);
  const prefix = (match?.[2] ?? "").replace(/\/+$/, "");
  const clean = prefix === "" || /^[A-Za-z0-9=_.-]+(\/[A-Za-z0-9=_.-]+)*$/.test(prefix);
  if (match !== null && clean && !prefix.split("/").some((part) => part === "." || part === "..")) {
    return { bucket: match[1]!, prefix: prefix === "" ? "" : `${prefix}/` };
  }
  throw new Fatal("LAKE_URL", "lake.url must be s3://bucket or s3://bucket/prefix", {
    where: "lake.url",
    hint: "Bucket: 3 to 63 of a-z 0-9 . _ -; prefix: parts of letters, digits and = _ . - joined by slashes.",
  });
}

export function makeClient(options: S3Options): S3Client {
  const { endpoint, accessKeyId, secretAccessKey, sessionToken, caFile } = options;
  const ca = caFile === "" ? undefined : readCa(caFile);
  return new S3Client({
    region: options.region,
    ...(endpoint === "" ? {} : { endpoint }),
    forcePathStyle: options.pathStyle === "auto" ? endpoint !== "" : options.pathStyle === "path",
    ...(accessKeyId === ""
      ? {}
      : { credentials: { accessKeyId, secretAccessKey, ...(sessionToken === "" ? {} : { sessionToken }) } }),
    maxAttempts: 1,
    // What goes wrong is thrown; the SDK would also say so on the console.
    logger: { trace: silent, debug: silent, info: silent, warn: silent, error: silent },
    // We send and compare SHA-256 ourselves; stores differ in what they make of the SDK's own checksums.
    requestChecksumCalculation: "WHEN_REQUIRED",
    responseChecksumValidation: "WHEN_REQUIRED",
    // Bun's HTTP client reports no "100 Continue", for which the SDK would wait.
    expectContinueHeader: false,
    requestHandler: {
      connectionTimeout: Math.min(10_000, options.timeoutMs),
      ...(ca === undefined ? {} : { httpsAgent: new Agent({ ca, keepAlive: true }) }),
    },
  });
}

const silent = () => undefined;

function readCa(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    const hint = "lake.s3.caFile names a PEM file with the certificate authority of the endpoint.";
    throw new Fatal("LAKE_S3_TLS", "the file of the certificate authority cannot be read", {
      where: path,
      hint,
      cause,
    });
  }
}

/** Full jitter, and an end: whoever calls must decide whether it matters more than waiting. */
export interface RetryLimits {
  readonly tries: number;
  readonly forMs: number;
}

export const RETRY: RetryLimits = { tries: 10, forMs: 60_000 };
const BACKOFF = { baseMs: 100, capMs: 20_000 };

/** Does `action` until it succeeds, fails for good, or has been tried enough; rejects with a `SluiceError`. */
export async function retrying<T>(
  world: World,
  { tries, forMs }: RetryLimits,
  where: string,
  action: () => Promise<T>,
): Promise<T> {
  const from = world.monotonic();
  for (let attempt = 1; ; attempt++) {
    let failure: SluiceError;
    try {
      return await action();
    } catch (error) {
      failure = s3Error(error, where);
    }
    const waitMs = backoffMs(world, attempt - 1, BACKOFF);
    const enough = attempt >= tries || world.monotonic() - from + waitMs > forMs;
    if (!(failure instanceof Transient) || enough) throw failure;
    await world.sleep(waitMs);
  }
}
