/** One client of the feed, whatever carries it: what it wants, where it stands, and how it is told. */
import type { BlockRef } from "../../pipeline/position.ts";
import { toJson } from "../json.ts";
import { correctionsOf, type Frame, type Item, type UndoStep } from "./items.ts";
import { behind, type Place, placeText } from "./place.ts";
import { kindOf } from "./topics.ts";
import type { HeldStep } from "./window.ts";

/** What carries messages to a client. */
export interface Outlet {
  /** In order. Never waits: what the client does not take yet is kept for it. */
  send(frames: readonly Frame[]): void;
  /** Bytes kept for it. */
  readonly waiting: number;
  /** Tells the reason as well as the carrier can. */
  close(code: CloseCode, reason: string): void;
}

/** WebSocket close codes; those from 4000 on are our own. */
export const CLOSE = { goingAway: 1001, tokenRefused: 4001, tooSlow: 4008, tooManyMessages: 4029 } as const;
export type CloseCode = (typeof CLOSE)[keyof typeof CLOSE];

/**
 * idle: nothing was asked for. catching-up: told what came after the place it goes on from, at its own pace. live: told
 * together with the others.
 */
export type SessionState = "idle" | "catching-up" | "live" | "closed";

export class Session {
  readonly topics = new Set<string>();
  readonly outlet: Outlet;
  /** That the client came with; null: with none. */
  readonly token: string | null;
  readonly closed = new AbortController();
  state: SessionState = "idle";
  /** Behind what it was told last, or where it began; null: it was not said yet. */
  place: Place | null = null;
  /** Highest final slot that it was told. */
  private finalSlot = -1;
  private batch: Frame[] = [];
  private lastItem: Item | null = null;
  private drained = Promise.withResolvers<void>();

  constructor(outlet: Outlet, token: string | null) {
    this.outlet = outlet;
    this.token = token;
  }

  wants(topics: readonly string[]): boolean {
    return topics.some((topic) => this.topics.has(topic));
  }

  /** Tells what concerns it of a step. `afterOrdinal`: it has had the items of the block up to this one. */
  tell(held: HeldStep, afterOrdinal = 0): void {
    const { step, place } = held;
    if (step.kind === "block") {
      const kinds = new Set([...this.topics].map(kindOf));
      for (const group of held.groups) {
        if (!group.kinds.some((kind) => kinds.has(kind))) continue;
        for (const item of group.items) if (item.ordinal > afterOrdinal && this.wants(item.topics)) this.gather(item);
      }
    } else this.batch.push(step.kind === "undo" ? undoFrame(step, this) : gapFrame(step.from, place));
    this.flush(held);
  }

  /** Keeps an item for `flush`; the same one again is passed over: it may come by several topics. */
  gather(item: Item): void {
    if (this.lastItem === item) return;
    this.lastItem = item;
    this.batch.push(item.frame);
  }

  /** Sends what was gathered of a step, then finality where it has moved on. */
  flush(held: HeldStep): void {
    const { step, place } = held;
    const frames = this.batch;
    this.batch = [];
    this.place = place;
    if (step.finalSlot > this.finalSlot) {
      this.finalSlot = step.finalSlot;
      frames.push(held.finalFrame(place));
    }
    if (frames.length > 0) this.outlet.send(frames);
  }

  send(message: object): void {
    const id = this.place === null ? "" : placeText(this.place);
    this.outlet.send([{ id, text: toJson(message) }]);
  }

  /** The carrier has room again. */
  hasDrained(): void {
    this.drained.resolve();
    this.drained = Promise.withResolvers();
  }

  /** Resolves when the carrier says that it has room. */
  get drain(): Promise<void> {
    return this.drained.promise;
  }

  close(code: CloseCode, reason: string): void {
    if (this.state === "closed") return;
    this.end();
    this.outlet.close(code, reason);
  }

  /** The carrier is gone. */
  end(): void {
    this.state = "closed";
    this.closed.abort();
  }
}

/** One message for all that an undo does: half of it would leave a client with a state that never was. */
function undoFrame(step: UndoStep, session: Session): Frame {
  const mine = correctionsOf(step).filter(({ topics }) => session.wants(topics));
  const texts = (kind: "candle" | "mint") => mine.filter((c) => c.kind === kind).map(({ text }) => text);
  const at = behind(step.to);
  const head = JSON.stringify({ type: "undo", at, from: step.from }).slice(0, -1);
  const text = `${head},"candles":[${texts("candle").join(",")}],"removed_mints":[${texts("mint").join(",")}]}`;
  return { id: placeText(at), text };
}

function gapFrame(from: BlockRef | null, at: Place): Frame {
  const message = "what was between was not told: read the state at `at` or later, and go on from there";
  return { id: placeText(at), text: JSON.stringify({ type: "gap", at, from, message }) };
}
