/**
 * The feed and everybody who listens to it. One reading of the LIVE stream serves all clients that are at its head; who
 * comes back goes on from the window in memory, or from a reading of its own that ends where the window begins. A client
 * that does not take what it is sent is closed at a bounded buffer: it can come back, and nobody waits for it.
 */
import { classify, describe, Poison } from "../../pipeline/errors.ts";
import type { LiveFeed } from "../../pipeline/live-feed.ts";
import type { FeedStep } from "../../pipeline/live-merge.ts";
import type { Log } from "../../pipeline/log.ts";
import { backoffMs, type World } from "../../pipeline/world.ts";
import { GUARD_MS, type MayStay } from "../transport.ts";
import { CatchUp } from "./catch-up.ts";
import { BEGINNING, behind, blockOf, type Place } from "./place.ts";
import { CLOSE, type Outlet, Session } from "./session.ts";
import { kindOf } from "./topics.ts";
import { FeedWindow, HeldStep } from "./window.ts";

export interface LiveLimits {
  /** Clients at once. */
  readonly connections: number;
  /** Topics of one client. */
  readonly topics: number;
  /** Bytes that wait for one client before it is closed. */
  readonly bufferBytes: number;
  readonly heartbeatMs: number;
  /** Steps of the feed kept in memory for those who come back. */
  readonly windowSteps: number;
}

export const LIVE_LIMITS: LiveLimits = {
  connections: 1_000,
  topics: 100,
  bufferBytes: 1024 * 1024,
  heartbeatMs: 15_000,
  windowSteps: 1_024,
};

/** What is read, and what can be asked of it. */
export interface Followed {
  readonly feed: Pick<LiveFeed, "read" | "oldest" | "isEmpty">;
  /** Datasets of events: what clients may ask for by type. */
  readonly eventTypes: ReadonlySet<string>;
}

export interface LiveHubOptions extends Followed {
  readonly world: World;
  readonly log: Log;
  readonly limits?: Partial<LiveLimits>;
}

const REFUSED = "the token was revoked or has expired";

export class LiveHub {
  readonly limits: LiveLimits;
  readonly window: FeedWindow;
  private readonly o: LiveHubOptions;
  private readonly sessions = new Set<Session>();
  /** Clients at the head, by topic. */
  private readonly byTopic = new Map<string, Set<Session>>();
  /** How many topics of a kind `byTopic` has. */
  private readonly kinds = new Map<string, number>();
  private readonly live = new Set<Session>();
  private readonly listeners = new Set<(step: HeldStep) => void>();
  private readonly stopping = new AbortController();
  private readonly catchUp: CatchUp;
  private followed: Followed;
  /** Aborted to have another feed read. */
  private reading = new AbortController();
  private running: Promise<unknown> | null = null;
  private mayStay: MayStay = () => true;
  /** Behind what was told last; undefined until it is known where the feed stands, then `isPlaced` resolves. */
  private head: Place | undefined = undefined;
  private readonly isPlaced = Promise.withResolvers<void>();
  private highestSlot = 0;
  private finalSlot = 0;
  private isUp = false;

  constructor(options: LiveHubOptions) {
    this.o = options;
    this.limits = { ...LIVE_LIMITS, ...options.limits };
    this.window = new FeedWindow(this.limits.windowSteps);
    this.followed = options;
    const { world } = options;
    this.catchUp = new CatchUp({
      feed: () => this.followed.feed,
      world,
      window: this.window,
      highestSlot: () => this.highestSlot,
    });
  }

  start(): void {
    const { world } = this.o;
    const { signal } = this.stopping;
    const beat = async () => {
      for (;;) {
        await world.sleep(this.limits.heartbeatMs, signal);
        for (const session of this.sessions) this.heartbeat(session);
      }
    };
    const guard = async () => {
      for (;;) {
        await world.sleep(GUARD_MS, signal);
        for (const session of this.sessions)
          if (!this.mayStay(session.token)) session.close(CLOSE.tokenRefused, REFUSED);
      }
    };
    this.running = Promise.allSettled([this.read(signal), beat(), guard()]);
  }

  /** Tells who may stay: looked at again and again. */
  guard(mayStay: MayStay): void {
    this.mayStay = mayStay;
  }

  async stop(): Promise<void> {
    this.stopping.abort();
    for (const session of [...this.sessions]) session.close(CLOSE.goingAway, "the server is stopping");
    await this.running;
  }

  /** Goes on with another feed of the same chain; where that does not hold the block it stands at, a gap is told. */
  follow(followed: Followed): void {
    this.followed = followed;
    this.reading.abort();
  }

  get eventTypes(): ReadonlySet<string> {
    return this.followed.eventTypes;
  }

  /** Clients connected. */
  get connections(): number {
    return this.sessions.size;
  }

  /** Bytes that wait for the client that is furthest behind. */
  get waitingMost(): number {
    return Math.max(0, ...[...this.sessions].map(({ outlet }) => outlet.waiting));
  }

  /** Null when there are too many clients already. */
  open(outlet: Outlet, token: string | null): Session | null {
    if (this.sessions.size >= this.limits.connections || this.stopping.signal.aborted) return null;
    const session = new Session(outlet, token);
    this.sessions.add(session);
    session.closed.signal.addEventListener("abort", () => this.forget(session), { once: true });
    return session;
  }

  /** Calls for every step, from now on, after clients were told. Returns how to end it. */
  listen(listener: (step: HeldStep) => void): () => void {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  }

  /**
   * Adds topics. Told from the next block on; or, where the session has heard nothing yet and `from` is given, from there
   * on. Rejects with `Poison` when that place cannot be gone on from. The first answer waits until it is known where the
   * feed stands: a client that breaks off before anything was told goes on from the place which that answer had.
   */
  async subscribe(session: Session, topics: readonly string[], from: Place | null): Promise<void> {
    if (session.topics.size + topics.filter((t) => !session.topics.has(t)).length > this.limits.topics) {
      throw new Poison("BAD_REQUEST", `a connection may have ${this.limits.topics} topics`);
    }
    for (const topic of topics) {
      session.topics.add(topic);
      if (session.state === "live") this.index(topic, session);
    }
    if (session.state !== "idle") return this.confirm(session, topics);
    session.state = "catching-up";
    if (from === null) {
      if (this.head === undefined) await this.isPlaced.promise;
      if (session.closed.signal.aborted) return;
      session.place = this.head!;
      this.confirm(session, topics);
      this.join(session);
      return;
    }
    try {
      const found = () => this.confirm(session, topics);
      await this.catchUp.run(session, from, found, () => this.join(session));
    } catch (error) {
      if (session.closed.signal.aborted) return;
      session.topics.clear();
      session.place = null;
      session.state = "idle";
      throw error;
    }
  }

  unsubscribe(session: Session, topics: readonly string[]): void {
    for (const topic of topics) {
      session.topics.delete(topic);
      this.unindex(topic, session);
    }
    session.send({ type: "unsubscribed", topics });
  }

  /** What a client may want to know when its place is refused. */
  async reach(): Promise<{ oldest: Place | null; head: Place | null }> {
    const { head = null } = this;
    const oldest = await this.followed.feed.oldest().catch(() => this.window.oldest);
    return { oldest: oldest === null ? null : behind(oldest), head };
  }

  heartbeat(session: Session): void {
    const place = session.state === "live" ? (this.head ?? null) : session.place;
    session.send({ type: "heartbeat", at: place, final_up_to: this.finalSlot, feed: this.isUp ? "up" : "down" });
    this.closeWhenSlow(session);
  }

  private confirm(session: Session, topics: readonly string[]): void {
    session.send({ type: "subscribed", topics, at: session.place, final_up_to: this.finalSlot });
  }

  private join(session: Session): void {
    if (session.state === "closed") return;
    session.state = "live";
    this.live.add(session);
    for (const topic of session.topics) this.index(topic, session);
  }

  private forget(session: Session): void {
    this.sessions.delete(session);
    this.live.delete(session);
    for (const topic of session.topics) this.unindex(topic, session);
  }

  private index(topic: string, session: Session): void {
    const of = this.byTopic.get(topic);
    if (of !== undefined) return void of.add(session);
    this.byTopic.set(topic, new Set([session]));
    this.countKind(topic, 1);
  }

  private unindex(topic: string, session: Session): void {
    const of = this.byTopic.get(topic);
    of?.delete(session);
    if (of?.size !== 0) return;
    this.byTopic.delete(topic);
    this.countKind(topic, -1);
  }

  private countKind(topic: string, by: 1 | -1): void {
    const kind = kindOf(topic);
    this.kinds.set(kind, (this.kinds.get(kind) ?? 0) + by);
  }

  /** Reads as long as the server runs: from where it stood, or, when that is not kept any more, from the newest. */
  private async read(signal: AbortSignal): Promise<void> {
    const { world, log } = this.o;
    let lost = false;
    for (let attempt = 0; !signal.aborted; attempt++) {
      try {
        this.reading = new AbortController();
        const { feed } = this.followed;
        if (this.head === undefined && (await feed.isEmpty())) this.begin();
        const head = this.head && blockOf(this.head);
        const from = lost || head === undefined ? { recentAfter: head } : { block: head, isIncluded: false };
        for await (const step of feed.read(from, AbortSignal.any([signal, this.reading.signal]))) {
          [lost, attempt] = [false, 0];
          this.isUp = true;
          this.take(step);
        }
      } catch (error) {
        if (signal.aborted) return;
        lost = classify(error).code === "LIVE_POSITION";
        this.isUp = false;
        log(lost ? "warning" : "debug", "the live feed is read again", { reason: describe(error) });
      }
      await world.sleep(backoffMs(world, attempt, { baseMs: 100, capMs: 5_000 }), signal).catch(() => undefined);
    }
  }

  /** Nothing was told yet: what is stored from now on is read from its first block, however late that happens. */
  private begin(): void {
    this.window.beginAt(BEGINNING);
    this.head = BEGINNING;
    this.isPlaced.resolve();
  }

  private take(step: FeedStep): void {
    const held = new HeldStep(this.readable(step));
    this.window.add(held);
    this.head = held.place;
    this.isPlaced.resolve();
    this.highestSlot = Math.max(this.highestSlot, held.place.slot);
    this.finalSlot = Math.max(this.finalSlot, step.finalSlot);
    if (held.step.kind === "block") this.tellBlock(held);
    else for (const session of this.live) session.tell(held);
    for (const listener of this.listeners) listener(held);
    for (const session of this.live) this.closeWhenSlow(session);
  }

  /** The step; where a message of it is damaged, a gap: what it held is told to be missing, and the feed goes on. */
  private readable(step: FeedStep): FeedStep {
    if (step.kind === "gap") return step;
    try {
      for (const commit of step.commits) commit.tables;
      return step;
    } catch (error) {
      this.o.log("error", "a message of the live stream cannot be read", { reason: describe(error) });
      const to = step.kind === "block" ? step.block : step.to;
      return { kind: "gap", from: this.head === undefined ? null : blockOf(this.head), to, finalSlot: step.finalSlot };
    }
  }

  /** By topic rather than by client: a block concerns few of them. */
  private tellBlock(held: HeldStep): void {
    for (const group of held.groups) {
      if (!group.kinds.some((kind) => (this.kinds.get(kind) ?? 0) > 0)) continue;
      for (const item of group.items) {
        for (const topic of item.topics) {
          const sessions = this.byTopic.get(topic);
          if (sessions !== undefined) for (const session of sessions) session.gather(item);
        }
      }
    }
    for (const session of this.live) session.flush(held);
  }

  private closeWhenSlow(session: Session): void {
    if (session.outlet.waiting <= this.limits.bufferBytes) return;
    session.close(
      CLOSE.tooSlow,
      `too slow: ${this.limits.bufferBytes} bytes were waiting; resume from your last position`,
    );
  }
}
