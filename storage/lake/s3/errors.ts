/**
 * What an S3-compatible store or the way to it can answer, sorted by what can be done about it. Messages name the store's
 * own code and never repeat its text, which may hold parts of a signed request.
 */
import { Fatal, SluiceError, Transient } from "../../../pipeline/errors.ts";

interface Answer {
  /** The store's or the network's own word: "NoSuchBucket", "ECONNRESET". */
  readonly code: string;
  readonly status: number | null;
}

/** The words of an error of the SDK; empty for what is none. */
export function answerOf(error: unknown): Answer {
  if (typeof error !== "object" || error === null) return { code: "", status: null };
  const { name, Code, code, $metadata } = error as Partial<Record<"name" | "Code" | "code" | "$metadata", unknown>>;
  const status = ($metadata as { httpStatusCode?: unknown } | undefined)?.httpStatusCode;
  const words = [Code, code, name].filter((word) => typeof word === "string" && word !== "" && word !== "Error");
  return { code: String(words[0] ?? ""), status: typeof status === "number" ? status : null };
}

export const isMissing = (error: unknown) => {
  const { code, status } = answerOf(error);
  return code !== "NoSuchBucket" && (code === "NoSuchKey" || code === "NotFound" || status === 404);
};
/** The key is taken. */
export const isTaken = (error: unknown) => {
  const { code, status } = answerOf(error);
  return status === 412 || code === "PreconditionFailed";
};

interface Rule {
  readonly codes: RegExp;
  readonly make: (say: string, where: string, cause: unknown) => SluiceError;
}

const fatal = (code: string, what: string, hint: string) => (say: string, where: string, cause: unknown) =>
  new Fatal(code, `${what} (${say})`, { where, hint, cause });
const transient = (code: string, what: string, hint: string) => (say: string, where: string, cause: unknown) =>
  new Transient(code, `${what} (${say})`, { where, hint, cause });

const RULES: readonly Rule[] = [
  {
    codes: /^NoSuchBucket$/,
    make: fatal(
      "LAKE_BUCKET_MISSING",
      "the bucket does not exist",
      "Create it, correct lake.url, or let the archive create it: --set lake.s3.createBucket=true.",
    ),
  },
  {
    codes: /^(ExpiredToken|ExpiredTokenException|TokenRefreshRequired|RequestExpired)$/,
    make: transient(
      "LAKE_S3_CREDENTIALS",
      "the credentials have run out",
      "Renew them where they come from (profile, role, lake.s3.sessionToken); they are read anew.",
    ),
  },
  {
    codes: /^CredentialsProviderError$/,
    make: fatal(
      "LAKE_S3_CREDENTIALS",
      "there are no credentials",
      "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile or a role, or lake.s3.accessKeyId and its secret.",
    ),
  },
  {
    codes:
      /^(InvalidAccessKeyId|SignatureDoesNotMatch|InvalidToken|InvalidClientTokenId|AuthorizationHeaderMalformed)$/,
    make: fatal(
      "LAKE_S3_CREDENTIALS",
      "the store does not accept the credentials",
      "Check key, secret and lake.s3.region, and that they belong to this endpoint.",
    ),
  },
  {
    codes: /^RequestTimeTooSkewed$/,
    make: transient(
      "LAKE_S3_CLOCK",
      "this machine's clock and the store's differ by more than 15 minutes",
      "Set the clock (NTP); requests are signed with it.",
    ),
  },
  {
    codes: /^(PermanentRedirect|TemporaryRedirect|IllegalLocationConstraintException)$/,
    make: fatal("LAKE_S3_REGION", "the bucket is in another region", "Set lake.s3.region to the bucket's region."),
  },
  {
    codes: /^(NotImplemented|MethodNotAllowed)$/,
    make: fatal(
      "LAKE_S3_UNSUPPORTED",
      "the store does not know the operation",
      "See OPERATIONS.md for stores that do.",
    ),
  },
  {
    codes: /^(XAmzContentSHA256Mismatch|BadDigest|InvalidDigest|IncompleteBody|ContentSHA256Mismatch)$/,
    make: transient("LAKE_S3_CHECKSUM", "the object arrived damaged and was refused", "It is sent again."),
  },
  {
    codes: /^(AccessDenied|AccountProblem|AllAccessDisabled|Forbidden)$/,
    make: fatal(
      "LAKE_S3_DENIED",
      "the credentials do not allow this",
      "Allow s3:GetObject, PutObject, DeleteObject and ListBucket on the bucket and the prefix of lake.url.",
    ),
  },
  {
    codes: /(SELF_SIGNED|UNABLE_TO_|CERT_|_CERT|ERR_TLS)/,
    make: fatal(
      "LAKE_S3_TLS",
      "the endpoint's certificate is not trusted",
      "Name the certificate authority's PEM file with lake.s3.caFile.",
    ),
  },
  {
    codes:
      /^(SlowDown|ServiceUnavailable|InternalError|Throttling.*|TooManyRequests.*|RequestTimeout|OperationAborted)$/,
    make: transient("LAKE_S3_BUSY", "the store is overloaded or out of order", "It is tried again."),
  },
  {
    codes: /^(TimeoutError|AbortError|E[A-Z_]+|UND_ERR.*|Connection.*|NetworkingError|FailedToOpenSocket)$/,
    make: transient("LAKE_S3_UNREACHABLE", "the store does not answer", "Check lake.s3.endpoint and the network."),
  },
];

/** Sorts what went wrong with an operation on `where`. */
export function s3Error(cause: unknown, where: string): SluiceError {
  if (cause instanceof SluiceError) return cause;
  const { code, status } = answerOf(cause);
  const say = [code || "no code", ...(status === null ? [] : [`HTTP ${status}`])].join(", ");
  const rule = RULES.find(({ codes }) => codes.test(code)) ?? ruleOfStatus(status);
  if (rule !== undefined) return rule.make(say, where, cause);
  // Nothing was said that could be understood: cut off, not S3 at all, or to a HEAD, which cannot say why (a token that has
  // run out is such a 400).
  const mute = status === 400 && /^(Unknown|UnknownError|400)?$/.test(code);
  return status === null || status < 400 || mute
    ? new Transient("LAKE_S3_ANSWER", `the store's answer cannot be understood (${say})`, { where, cause })
    : new Fatal("LAKE_S3", `the store refused (${say})`, { where, cause });
}

function ruleOfStatus(status: number | null): Rule | undefined {
  const byCode = (code: string) => RULES.find(({ codes }) => codes.test(code));
  if (status === null) return undefined;
  if (status === 501 || status === 405) return byCode("NotImplemented");
  if (status === 409 || status === 429 || status >= 500) return byCode("SlowDown");
  if (status === 401 || status === 403) return byCode("AccessDenied");
  return status >= 300 && status < 400 ? byCode("PermanentRedirect") : undefined;
}
