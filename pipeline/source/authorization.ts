/**
 * Authorization over time: tokens run out. One that was given is used as long as it lasts; an API key is sent as it is, or
 * exchanged for tokens where the provider wants that, again before each runs out and when the endpoint refuses one.
 */
import { Fatal, Transient } from "../errors.ts";
import type { World } from "../world.ts";
import { type Credentials, credentialHeaders, mask } from "./credentials.ts";
import { type Endpoint, isLoopback } from "./endpoint.ts";

/** A token is renewed so long before it runs out: calls begin with it, and clocks differ. */
const RENEW_BEFORE_MS = 60_000;
/** A token that was refused so soon after it was issued is not the reason. */
const FRESH_MS = 10_000;
const ANSWER_BYTES_MAX = 64 * 1024;
const TIMEOUT_MS = 20_000;

interface Issued {
  readonly token: string;
  readonly at: number;
  /** ms since the Unix epoch; 0: not known. */
  readonly expiresAt: number;
}

export class Authorization {
  private readonly credentials: Credentials;
  private readonly endpoint: Endpoint;
  private readonly world: Pick<World, "now">;
  private readonly ca: string | undefined;
  private issued: Issued | null = null;

  /** Throws `Fatal` SUBSTREAMS_AUTH when what is given cannot work, AUTH_URL when `exchangeUrl` is none. */
  constructor(credentials: Credentials, endpoint: Endpoint, world: Pick<World, "now">, ca?: string) {
    this.credentials = credentials;
    this.endpoint = endpoint;
    this.world = world;
    this.ca = ca;
    credentialHeaders(credentials, endpoint);
    if (this.exchanges) exchangeUrl(credentials.exchangeUrl ?? "");
  }

  /** When the token in use runs out, ms since the Unix epoch; 0: there is none, or it does not say. */
  get expiresAt(): number {
    if (this.issued !== null) return this.issued.expiresAt;
    return this.tokenIsUsed ? tokenExpiry(this.credentials.token) : 0;
  }

  /** Headers for a call that begins now. Throws `Fatal` SUBSTREAMS_AUTH, `Transient` AUTH_EXCHANGE. */
  async headers(signal: AbortSignal): Promise<Record<string, string>> {
    const { credentials, endpoint } = this;
    if (this.exchanges) {
      const token = await this.exchanged(signal);
      return { authorization: `Bearer ${token}` };
    }
    const runsOut = tokenExpiry(credentials.token);
    if (runsOut === 0 || runsOut > this.world.now()) return credentialHeaders(credentials, endpoint);
    if (credentials.apiKey !== "") return credentialHeaders({ ...credentials, token: "" }, endpoint);
    throw new Fatal("SUBSTREAMS_AUTH", `the token has expired, on ${new Date(runsOut).toISOString()}`, {
      where: "source.token",
      hint: "Get a new one from your provider, or set source.apiKey: a key does not run out.",
    });
  }

  /** After the endpoint has refused the credentials: whether the next call will bring others. */
  renew(): boolean {
    if (!this.exchanges || this.issued === null || this.world.now() - this.issued.at < FRESH_MS) return false;
    this.issued = null;
    return true;
  }

  /** Takes all secrets out of a text. */
  mask(text: string): string {
    const masked = mask(text, this.credentials);
    return this.issued === null ? masked : masked.replaceAll(this.issued.token, "***");
  }

  /** A token that lasts comes first. */
  private get tokenIsUsed(): boolean {
    const { token } = this.credentials;
    return token !== "" && (tokenExpiry(token) === 0 || tokenExpiry(token) > this.world.now());
  }

  private get exchanges(): boolean {
    const { apiKey, exchangeUrl } = this.credentials;
    return (exchangeUrl ?? "") !== "" && apiKey !== "" && !this.tokenIsUsed;
  }

  private async exchanged(signal: AbortSignal): Promise<string> {
    const { issued } = this;
    const lasts = issued !== null && (issued.expiresAt === 0 || issued.expiresAt - RENEW_BEFORE_MS > this.world.now());
    if (issued !== null && lasts) return issued.token;
    this.issued = await this.exchange(signal);
    return this.issued.token;
  }

  private async exchange(signal: AbortSignal): Promise<Issued> {
    const url = exchangeUrl(this.credentials.exchangeUrl ?? "");
    const tls = this.ca === undefined ? {} : { tls: { ca: this.ca } };
    let response: Response;
    let text: string;
    try {
      response = await fetch(url, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ api_key: this.credentials.apiKey }),
        redirect: "error",
        signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]),
        ...tls,
      });
      text = await bodyOf(response);
    } catch (cause) {
      throw this.failed(`there was no answer: ${(cause as Error).message}`, url);
    }
    if (response.status === 429 || response.status >= 500) throw this.failed(`status ${response.status}`, url);
    if (!response.ok) {
      throw new Fatal("SUBSTREAMS_AUTH", this.mask(`the API key was not exchanged: status ${response.status}`), {
        where: url.origin,
        hint: "Check SUBSTREAMS_API_KEY with your provider.",
      });
    }
    const issued = parseIssued(text, this.world.now());
    if (issued === null) throw this.failed("the answer holds no token", url);
    return issued;
  }

  private failed(reason: string, url: URL): Transient {
    return new Transient("AUTH_EXCHANGE", this.mask(`the API key could not be exchanged: ${reason}`), {
      where: url.origin,
      hint: "Trying again. Check source.authUrl, or leave it empty to send the key itself.",
    });
  }
}

/** When a JWT runs out, ms since the Unix epoch; 0: it does not say, or is no JWT. */
export function tokenExpiry(token: string): number {
  const payload = token.split(".")[1];
  if (payload === undefined) return 0;
  try {
    const claims = JSON.parse(Buffer.from(payload, "base64url").toString("utf8")) as { exp?: unknown } | null;
    return typeof claims?.exp === "number" && Number.isFinite(claims.exp) ? Math.round(claims.exp * 1000) : 0;
  } catch (error) {
    if (error instanceof SyntaxError) return 0;
    throw error;
  }
}

/** A key goes out over TLS, or not off this machine. */
function exchangeUrl(text: string): URL {
  const url = URL.parse(text);
  const secure = url?.protocol === "https:" || (url?.protocol === "http:" && isLoopback(url.hostname));
  if (url !== null && secure && url.username === "") return url;
  throw new Fatal("AUTH_URL", "the address that exchanges API keys is not an https URL", {
    where: "source.authUrl",
    hint: "For example https://auth.streamingfast.io/v1/auth/issue; empty: the key itself is sent.",
  });
}

async function bodyOf(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
    size += chunk.length;
    if (size > ANSWER_BYTES_MAX) throw new RangeError("the answer is too long");
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

/** `{token, expires_at}`: seconds since the Unix epoch, or a date as text. */
function parseIssued(text: string, at: number): Issued | null {
  let answer: { token?: unknown; expires_at?: unknown } | null;
  try {
    answer = JSON.parse(text) as typeof answer;
  } catch {
    return null; // not JSON, so no token
  }
  const token = answer?.token;
  if (typeof token !== "string" || token === "" || /[^\x21-\x7e]/.test(token)) return null;
  const said = answer?.expires_at;
  const expiresAt = typeof said === "number" ? said * 1000 : typeof said === "string" ? Date.parse(said) : Number.NaN;
  return { token, at, expiresAt: Number.isFinite(expiresAt) ? expiresAt : tokenExpiry(token) };
}
