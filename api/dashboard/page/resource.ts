/**
 * One answer of the API that the page keeps: asked for again every so often while somebody looks, kept when an attempt
 * fails, and honest about its age.
 */
import { type Asking, pace } from "./pace.ts";
import { Problem } from "./server.ts";

export type Freshness = "loading" | "ready" | "stale" | "error";

export interface Held<T> {
  readonly data: T | null;
  /** Of the last attempt; null when it succeeded. */
  readonly error: Error | null;
  /** When the data came, ms since the Unix epoch. */
  readonly at: number;
}

/** Data is stale once an attempt has failed, or it is older than three attempts. */
export function freshnessOf({ data, error, at }: Held<unknown>, everyMs: number, now: number): Freshness {
  if (data === null) return error === null ? "loading" : "error";
  return error !== null || now - at > 3 * everyMs + SLACK_MS ? "stale" : "ready";
}

const SLACK_MS = 2_000;
/** Asked for again this soon at most, however often somebody wishes. */
const BETWEEN_MS = 400;
const HIDDEN_LOOK_MS = 1_000;
const RETRY_MS_MAX = 10_000;
/** Where a token is wanted: each question is counted as a guess. */
const REFUSED_MS = 30_000;

export interface ResourceOptions<T> {
  readonly load: (signal: AbortSignal) => Promise<T>;
  /** How often it is asked for, where the API allows that; a function where it changes. */
  readonly everyMs: number | (() => number);
}

export class Resource<T> implements Asking {
  private readonly every: () => number;
  private readonly load: (signal: AbortSignal) => Promise<T>;
  private held: Held<T> = { data: null, error: null, at: 0 };
  private readonly watchers = new Set<() => void>();
  private stopping: AbortController | null = null;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private leavePace: (() => void) | null = null;
  private failures = 0;
  private startedAt = 0;
  private isLoading = false;
  /** Somebody has asked while an answer was under way: it may be older than the wish. */
  private isWished = false;

  constructor({ load, everyMs }: ResourceOptions<T>) {
    this.load = load;
    this.every = typeof everyMs === "number" ? () => everyMs : everyMs;
  }

  get everyMs(): number {
    return this.every();
  }

  get current(): Held<T> {
    return this.held;
  }

  get freshness(): Freshness {
    return freshnessOf(this.held, this.every() * pace.stretch, Date.now());
  }

  /** Calls back at once and after every attempt. It is kept up to date while anybody watches. Returns how to end it. */
  watch(watcher: () => void): () => void {
    this.watchers.add(watcher);
    if (this.watchers.size === 1) this.start();
    watcher();
    return () => {
      this.watchers.delete(watcher);
      if (this.watchers.size === 0) this.stop();
    };
  }

  /** Asks soon: somebody wishes it. Any number of wishes in a short time become one question. */
  refresh(): void {
    if (this.stopping === null) return;
    if (this.isLoading) this.isWished = true;
    else this.schedule(Math.max(0, this.startedAt + BETWEEN_MS - Date.now()));
  }

  /** What is held is known to be old: asks soon where nobody counts questions, else when its time comes. */
  outdate(): void {
    if (!pace.isCounted) this.refresh();
  }

  /** Lets those who watch look again: time has passed. */
  look(): void {
    for (const watcher of this.watchers) watcher();
  }

  private start(): void {
    this.stopping = new AbortController();
    this.leavePace = pace.join(this);
    this.schedule(0);
  }

  private stop(): void {
    clearTimeout(this.timer);
    this.leavePace?.();
    this.stopping?.abort();
    this.stopping = null;
    this.isLoading = false;
  }

  private schedule(inMs: number): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.attempt(), inMs);
  }

  private async attempt(): Promise<void> {
    const stopping = this.stopping;
    if (stopping === null || this.isLoading) return;
    // Nobody looks: wait until somebody does.
    if (document.hidden) return this.schedule(HIDDEN_LOOK_MS);
    if (pace.waitMs > 0) return this.schedule(pace.waitMs);
    this.isLoading = true;
    this.isWished = false;
    this.startedAt = Date.now();
    try {
      const data = await this.load(stopping.signal);
      if (stopping.signal.aborted) return;
      this.held = { data, error: null, at: Date.now() };
      this.failures = 0;
    } catch (error) {
      if (stopping.signal.aborted) return;
      this.failures++;
      this.held = { ...this.held, error: error instanceof Error ? error : new Error(String(error)) };
    }
    this.isLoading = false;
    this.schedule(this.nextInMs());
    this.look();
  }

  private nextInMs(): number {
    if (this.failures > 0) {
      const { error } = this.held;
      // A token that is given loads the page anew.
      if (error instanceof Problem && error.wantsToken) return REFUSED_MS;
      const wanted = error instanceof Problem ? error.retryAfterMs : 0;
      return Math.max(wanted, Math.min(1_000 * 2 ** (this.failures - 1), RETRY_MS_MAX));
    }
    return this.isWished ? BETWEEN_MS : this.every() * pace.stretch;
  }
}
