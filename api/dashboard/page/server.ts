/** Questions to the API. What goes wrong becomes a `Problem` that can be shown as it is. */
import { pace } from "./pace.ts";

/** Where the token of this tab is kept, when the server wants one. */
const TOKEN_KEY = "sluice.token";
const ANSWER_WITHIN_MS = 10_000;

export class Problem extends Error {
  /** Of HTTP; 0 when there was no answer. */
  readonly status: number;
  /** The API's own, or UNREACHABLE. */
  readonly code: string;
  /** Not to be asked again before; 0 where the API does not say. */
  readonly retryAfterMs: number;

  constructor(status: number, code: string, message: string, retryAfterMs = 0) {
    super(message);
    this.status = status;
    this.code = code;
    this.retryAfterMs = retryAfterMs;
  }

  /** A token is needed, or another one. */
  get wantsToken(): boolean {
    return this.status === 401 || this.code === "SCOPE_NEEDED";
  }
}

export function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  return ask<T>("GET", path, signal);
}

export function post<T>(path: string): Promise<T> {
  return ask<T>("POST", path);
}

export function token(): string | null {
  return sessionStorage.getItem(TOKEN_KEY);
}

/** For as long as the tab is open. */
export function setToken(text: string): void {
  sessionStorage.setItem(TOKEN_KEY, text);
}

async function ask<T>(method: string, path: string, signal?: AbortSignal): Promise<T> {
  const patience = AbortSignal.timeout(ANSWER_WITHIN_MS);
  const known = token();
  let response: Response;
  try {
    response = await fetch(path, {
      method,
      signal: signal === undefined ? patience : AbortSignal.any([signal, patience]),
      ...(known === null ? {} : { headers: { authorization: `Bearer ${known}` } }),
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Problem(0, "UNREACHABLE", "The API does not answer.");
  }
  const retryAfterMs = retryAfterMsOf(response);
  pace.learn(response.headers.get("ratelimit-policy"), response.status === 429 ? retryAfterMs : null);
  if (!response.ok && !isAnswer(path, response)) throw await problemOf(response, retryAfterMs);
  return (await response.json()) as T;
}

/** `/health` says with 503 that it is not well, and with its body how. */
function isAnswer(path: string, { status }: Response): boolean {
  return path === "/health" && status === 503;
}

function retryAfterMsOf({ headers }: Response): number {
  const seconds = Number(headers.get("retry-after") ?? 0);
  return Number.isFinite(seconds) ? seconds * 1_000 : 0;
}

async function problemOf(response: Response, retryAfterMs: number): Promise<Problem> {
  const body: unknown = await response.json().catch(() => null);
  const told = (body ?? {}) as { code?: string; detail?: string; error?: { code?: string; message?: string } };
  const code = told.code ?? told.error?.code ?? `HTTP_${response.status}`;
  const message = told.detail ?? told.error?.message ?? `The API answered with status ${response.status}.`;
  return new Problem(response.status, code, message, retryAfterMs);
}
