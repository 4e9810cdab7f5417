/**
 * A small S3 service over real HTTP, for tests: objects and buckets in memory, conditional writes as the protocol says, and
 * every request must be signed (the signature's presence and the payload's checksum are looked at, not the signature).
 */
import { sha256Of } from "../store.ts";

interface Stored {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly sha256: string | null;
  readonly modifiedAt: number;
}

export interface S3ServerOptions {
  /** Honour `If-None-Match: *`. Default true. */
  readonly conditional?: boolean;
  /** Requests that are signed for another are refused. */
  readonly region?: string;
  readonly tls?: { readonly key: string; readonly cert: string };
  /** Keys of a page of a listing. */
  readonly pageKeys?: number;
}

export class S3Server {
  readonly buckets = new Map<string, Map<string, Stored>>();
  /** "PUT bucket/key", in the order in which they came. */
  readonly requests: string[] = [];
  private readonly o: S3ServerOptions;
  private readonly server: Bun.Server<undefined>;

  constructor(options: S3ServerOptions = {}) {
    this.o = options;
    const { tls } = options;
    this.server = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      ...(tls === undefined ? {} : { tls }),
      fetch: (request) => this.answer(request),
    });
  }

  get port(): number {
    return this.server.port!;
  }

  get url(): string {
    return `${this.o.tls === undefined ? "http" : "https"}://127.0.0.1:${this.port}`;
  }

  async stop(): Promise<void> {
    await this.server.stop(true);
  }

  private async answer(request: Request): Promise<Response> {
    const url = new URL(request.url);
    const body = new Uint8Array(await request.arrayBuffer());
    const { bucket, key } = placeOf(url, request.headers.get("host") ?? "");
    this.requests.push(`${request.method} ${bucket}/${key}`);
    const refusal = refusalOf(request, body, this.o.region);
    if (refusal !== null) return refusal;
    const objects = this.buckets.get(bucket);
    if (key === "" && request.method === "PUT") return this.create(bucket);
    if (objects === undefined) return failure(404, "NoSuchBucket", request.method);
    if (key === "" && request.method === "HEAD") return new Response(null);
    if (key === "" && request.method === "DELETE") {
      this.buckets.delete(bucket);
      return new Response(null, { status: 204 });
    }
    if (key === "") return this.list(objects, url.searchParams);
    return this.object(request, objects, key, body);
  }

  private create(bucket: string): Response {
    if (this.buckets.has(bucket)) return failure(409, "BucketAlreadyOwnedByYou");
    this.buckets.set(bucket, new Map());
    return new Response(null);
  }

  private object(request: Request, objects: Map<string, Stored>, key: string, body: Uint8Array<ArrayBuffer>): Response {
    const found = objects.get(key);
    switch (request.method) {
      case "PUT":
        if (this.o.conditional !== false && request.headers.get("if-none-match") === "*" && found !== undefined) {
          return failure(412, "PreconditionFailed");
        }
        objects.set(key, { bytes: body, sha256: request.headers.get("x-amz-meta-sha256"), modifiedAt: Date.now() });
        return new Response(null, { headers: { etag: `"${sha256Of(body).slice(0, 32)}"` } });
      case "DELETE":
        objects.delete(key);
        return new Response(null, { status: 204 });
      case "GET":
      case "HEAD": {
        if (found === undefined) return failure(404, "NoSuchKey", request.method);
        const sha256 = found.sha256 === null ? {} : { "x-amz-meta-sha256": found.sha256 };
        const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.get("range") ?? "");
        const { length } = found.bytes;
        const [from, to] =
          range === null ? [0, length] : [Number(range[1]), Math.min(Number(range[2] || length - 1) + 1, length)];
        const headers = {
          ...sha256,
          "content-length": String(to - from),
          ...(range === null ? {} : { "content-range": `bytes ${from}-${to - 1}/${length}` }),
          etag: '"e"',
          "last-modified": new Date(found.modifiedAt).toUTCString(),
        };
        const status = range === null ? 200 : 206;
        return new Response(request.method === "GET" ? found.bytes.slice(from, to) : null, { headers, status });
      }
      default:
        return failure(405, "MethodNotAllowed");
    }
  }

  private list(objects: Map<string, Stored>, query: URLSearchParams): Response {
    const prefix = query.get("prefix") ?? "";
    const after = query.get("continuation-token") ?? "";
    const keys = [...objects.keys()].filter((key) => key.startsWith(prefix) && key > after).sort();
    const page = keys.slice(0, this.o.pageKeys ?? 1000);
    const more = page.length < keys.length;
    const contents = page.map((key) => `<Contents><Key>${key}</Key><Size>1</Size></Contents>`).join("");
    const next = more ? `<NextContinuationToken>${page.at(-1)}</NextContinuationToken>` : "";
    return new Response(
      `<?xml version="1.0"?><ListBucketResult><IsTruncated>${more}</IsTruncated>${contents}${next}</ListBucketResult>`,
      { headers: { "content-type": "application/xml" } },
    );
  }
}

/** `host/bucket/key`, or `bucket.localhost/key`. */
function placeOf(url: URL, host: string): { bucket: string; key: string } {
  const path = decodeURIComponent(url.pathname.slice(1));
  const inHost = /^([^:]+)\.localhost(:|$)/.exec(host)?.[1];
  if (inHost !== undefined) return { bucket: inHost, key: path };
  const slash = path.indexOf("/");
  return slash < 0 ? { bucket: path, key: "" } : { bucket: path.slice(0, slash), key: path.slice(slash + 1) };
}

function refusalOf(request: Request, body: Uint8Array, region?: string): Response | null {
  const scope = /^AWS4-HMAC-SHA256 Credential=([^/]+)\/\d{8}\/([^/]+)\//;
  const signature = scope.exec(request.headers.get("authorization") ?? "");
  if (signature === null) return failure(403, "AccessDenied", request.method);
  if (signature[1] === "unknown") return failure(403, "InvalidAccessKeyId", request.method);
  if (region !== undefined && signature[2] !== region)
    return failure(400, "AuthorizationHeaderMalformed", request.method);
  const declared = request.headers.get("x-amz-content-sha256") ?? "";
  const wrong = /^[0-9a-f]{64}$/.test(declared) && declared !== sha256Of(body);
  return wrong ? failure(400, "XAmzContentSHA256Mismatch", request.method) : null;
}

export function errorBody(code: string): string {
  return `<?xml version="1.0"?><Error><Code>${code}</Code><Message>secret-text of ${code}</Message></Error>`;
}

function failure(status: number, code: string, method = "GET"): Response {
  const headers = { "content-type": "application/xml" };
  return new Response(method === "HEAD" ? null : errorBody(code), { status, headers });
}
