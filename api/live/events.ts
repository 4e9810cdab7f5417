/**
 * The feed as Server-Sent Events, for browsers and curl: one subscription, given in the URL, for the life of the answer.
 * Each event carries its position as id, so a browser that reconnects goes on by itself (`Last-Event-ID`).
 */
import { tokenIn } from "../access/access.ts";
import { refused } from "../errors.ts";
import type { LiveHub } from "./hub.ts";
import type { Frame } from "./items.ts";
import { readPlace } from "./place.ts";
import { refusalOf } from "./refusal.ts";
import type { Outlet } from "./session.ts";
import { readTopic } from "./topics.ts";

/** What `waiting` is measured against; the hub closes a client well before it is reached. */
const WATER_MARK = 64 * 1024 * 1024;
const HEADERS = {
  "content-type": "text/event-stream",
  "cache-control": "no-store",
  "x-accel-buffering": "no",
} as const;

class EventOutlet implements Outlet {
  readonly body: ReadableStream<Uint8Array>;
  private readonly encoder = new TextEncoder();
  private controller!: ReadableStreamDefaultController<Uint8Array>;
  private isOpen = true;

  constructor(events: { taken(): void; gone(): void }) {
    this.body = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.controller = controller;
        },
        pull: () => events.taken(),
        cancel: () => {
          this.isOpen = false;
          events.gone();
        },
      },
      new ByteLengthQueuingStrategy({ highWaterMark: WATER_MARK }),
    );
  }

  get waiting(): number {
    return this.isOpen ? WATER_MARK - (this.controller.desiredSize ?? WATER_MARK) : 0;
  }

  send(frames: readonly Frame[]): void {
    if (!this.isOpen) return;
    let text = "";
    for (const frame of frames) text += `${frame.id === "" ? "" : `id: ${frame.id}\n`}data: ${frame.text}\n\n`;
    this.controller.enqueue(this.encoder.encode(text));
  }

  close(code: number, reason: string): void {
    if (!this.isOpen) return;
    this.send([{ id: "", text: JSON.stringify({ type: "closed", code, reason }) }]);
    this.isOpen = false;
    this.controller.close();
  }
}

/** Rejects with `Poison` when the request cannot be served, before anything was answered. */
export async function eventStream(request: Request, hub: LiveHub): Promise<Response> {
  const query = new URL(request.url).searchParams;
  const topics = [...new Set(query.getAll("topic"))].map((topic) => readTopic(topic, hub.eventTypes));
  if (topics.length === 0) {
    throw refused("BAD_REQUEST", "say what to follow: ?topic=trades, and more with &topic=; see docs/live.md");
  }
  // What the browser remembers is newer than what the page's URL says.
  const from = request.headers.get("last-event-id") ?? query.get("resume_from");
  const place = from === null || from === "" ? null : readPlace(from);
  const started = Promise.withResolvers<void>();
  const outlet = new EventOutlet({ taken: () => session?.hasDrained(), gone: () => session?.end() });
  const first: Outlet = {
    get waiting() {
      return outlet.waiting;
    },
    send(frames) {
      outlet.send(frames);
      started.resolve();
    },
    close: (code, reason) => outlet.close(code, reason),
  };
  const session = hub.open(first, tokenIn(request.headers));
  if (session === null) throw refused("TOO_MANY_CONNECTIONS", "there is no room for another client");
  // Who is closed before anything was told hears of it in the answer.
  session.closed.signal.addEventListener("abort", () => started.resolve(), { once: true });
  const abort = () => session.end();
  request.signal.addEventListener("abort", abort, { once: true });
  hub.subscribe(session, topics, place).catch(async (error) => {
    const refusal = await refusalOf(error, hub);
    started.reject(refusal.error);
    // Behind the beginning of the answer there is no other way to say it.
    session.close(1001, refusal.error.message);
  });
  try {
    await started.promise;
  } catch (error) {
    session.end();
    throw error;
  }
  return new Response(outlet.body, { headers: HEADERS });
}
