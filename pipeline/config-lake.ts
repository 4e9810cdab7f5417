/** The settings of the lake: where it is, and how its bucket is reached. */
import { choice, flag, integer, type Knob, text } from "./config-knob.ts";

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;

export const LAKE_KNOBS = {
  "lake.dir": text("", "Folder of the Parquet lake. Empty: <data.dir>/lake. Not used with lake.url.", {
    env: ["SLUICE_LAKE"],
    check: (value) => (value.startsWith("s3:") ? "a folder: a bucket is named by lake.url" : null),
  }),
  "lake.url": text("", "Bucket of the Parquet lake, s3://bucket/prefix. Empty: the folder lake.dir.", {
    env: ["SLUICE_LAKE_URL"],
  }),
  "lake.beginAnew": flag(
    false,
    "Let the archive begin a lake here, though it has written to another before. It begins with what the streams hold. For one start.",
  ),
  "lake.spoolMaxBytes": integer(
    16 * GIB,
    "bytes",
    64 * MIB,
    64 * 1024 * GIB,
    "Files that may wait on this host for the bucket: how long the archive goes on while the bucket is away.",
  ),
  "lake.cacheMaxBytes": integer(
    8 * GIB,
    "bytes",
    64 * MIB,
    64 * 1024 * GIB,
    "Copies of the bucket's files kept on this host for queries. A single query cannot read more than this.",
  ),
  "lake.s3.endpoint": text("", "Address of the S3 service, http(s)://host:port. Empty: AWS.", {
    env: ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"],
    address: true,
  }),
  "lake.s3.region": text("us-east-1", "Region of the bucket.", { env: ["AWS_REGION", "AWS_DEFAULT_REGION"] }),
  "lake.s3.pathStyle": choice(
    "auto",
    ["auto", "path", "virtual-host"],
    "Where the bucket is named: in the path or in the host. auto: in the path where lake.s3.endpoint is set.",
  ),
  "lake.s3.caFile": text("", "PEM file of a certificate authority to trust for the endpoint.", {
    env: ["AWS_CA_BUNDLE"],
  }),
  "lake.s3.accessKeyId": text("", "Access key. Empty: the usual chain (AWS_* variables, profile, role)."),
  "lake.s3.secretAccessKey": text("", "Secret of the access key.", { secret: true }),
  "lake.s3.sessionToken": text("", "Session token of temporary credentials.", { secret: true }),
  "lake.s3.createBucket": flag(false, "Let the archive make the bucket when it is missing."),
  "lake.s3.conditionalWrites": choice(
    "required",
    ["required", "lease"],
    "lease: for services that ignore If-None-Match, a lease in NATS lets one archive write at a time. Weaker.",
  ),
  "lake.s3.timeoutMs": integer(
    30_000,
    "ms",
    1_000,
    600_000,
    "Longest wait for the service's answer; a large body gets more.",
  ),
} as const satisfies Record<string, Knob>;
