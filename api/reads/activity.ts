/**
 * Which tokens trade most, and which are called what. Both need a look at every token, so they are made piece by piece
 * with pauses in between, and at most every few seconds however often they are asked for.
 */
import type { World } from "../../pipeline/world.ts";
import type { HotReader, MintBrief } from "../../storage/hot/reader.ts";
import type { HotLanes } from "./hot-lanes.ts";
import type { Ranking } from "./token-reads.ts";

/** Tokens looked at without a pause. */
const PIECE = 512;
/** A ranking is given again for this long, or for ten times as long as it took to make, ms. */
const FRESH_MS = 2_000;
const PAUSE_FACTOR = 10;
/** Places that a ranking has. */
export const RANKED_MAX = 1_000;
/** Matches that a search keeps of each kind. */
const FOUND_MAX = 200;

const HOUR = 3_600;
const DAY = 86_400;
/** The windows are made of whole candles: of five minutes for the hour, of an hour for the day. */
const HOUR_CANDLE = 300;
const DAY_CANDLE = 3_600;

export interface Active {
  readonly mint: Uint8Array;
  readonly trades1h: number;
  readonly volume24h: bigint;
}

interface Tables {
  readonly madeAt: number;
  readonly tookMs: number;
  /** Number of times it was made: tells one from the next. */
  readonly number: number;
  readonly ranked: Readonly<Record<Ranking, readonly Active[]>>;
}

export class Activity {
  private readonly lanes: HotLanes;
  private readonly world: Pick<World, "monotonic" | "sleep">;
  private tables: Tables | null = null;
  private making: Promise<Tables> | null = null;

  constructor(lanes: HotLanes, world: Pick<World, "monotonic" | "sleep">) {
    this.lanes = lanes;
    this.world = world;
  }

  /** Best first. The first to ask waits; later ones get the last ranking while the next is made. */
  async ranked(by: Ranking): Promise<readonly Active[]> {
    const known = this.tables;
    if (known !== null) {
      const age = this.world.monotonic() - known.madeAt;
      if (age >= Math.max(FRESH_MS, known.tookMs * PAUSE_FACTOR)) this.make().catch(() => undefined);
      return known.ranked[by];
    }
    return (await this.make()).ranked[by];
  }

  /** Tokens whose name or symbol has `text` in it, in any case. */
  async search(text: string): Promise<Active[]> {
    const wanted = text.toLowerCase();
    const found: [whole: Active[], beginning: Active[], inside: Active[]] = [[], [], []];
    await this.each((reader, brief, windows) => {
      const kind = matchOf(brief, wanted);
      if (kind !== null && found[kind].length < FOUND_MAX) found[kind].push(activityOf(reader, brief, windows));
    });
    return found.flatMap((matches) => matches.sort(byVolume));
  }

  private make(): Promise<Tables> {
    this.making ??= this.rank().finally(() => {
      this.making = null;
    });
    return this.making;
  }

  private async rank(): Promise<Tables> {
    const started = this.world.monotonic();
    let active: Active[] = [];
    await this.each((reader, brief, windows) => {
      if (brief.latestTradeTime === null || brief.latestTradeTime < windows.day) return;
      active.push(activityOf(reader, brief, windows));
      // Only the best of each kind are kept: memory does not grow with the number of tokens.
      if (active.length > 8 * RANKED_MAX) active = [...new Set([...best(active, byTrades), ...best(active, byVolume)])];
    });
    const now = this.world.monotonic();
    const ranked = {
      hot: best(
        active.filter((a) => a.trades1h > 0),
        byTrades,
      ),
      volume: best(active, byVolume),
    };
    this.tables = { madeAt: now, tookMs: now - started, number: (this.tables?.number ?? 0) + 1, ranked };
    return this.tables;
  }

  /** Calls `visit` for every token, with a pause after each piece. Throws `Transient` HOT_MISSING when a lane is not here. */
  private async each(visit: (reader: HotReader, brief: MintBrief, windows: Windows) => void): Promise<void> {
    const headTime = Math.max(0, ...this.lanes.everyLane().map((reader) => reader.stand()?.headTime ?? 0));
    const windows = windowsAt(headTime);
    for (let lane = 0; lane < this.lanes.count; lane++) {
      for (let after = 0; ; ) {
        // Asked for anew: a lane may have been opened again during the pause.
        const reader = this.lanes.everyLane()[lane]!;
        const piece = reader.briefs(after, PIECE);
        reader.read(() => {
          for (const brief of piece) visit(reader, brief, windows);
        });
        if (piece.length < PIECE) break;
        after = piece.at(-1)!.id;
        await this.world.sleep(0);
      }
    }
  }
}

interface Windows {
  /** Begin of the hour and of the day up to the newest block, Unix seconds. */
  readonly hour: number;
  readonly day: number;
}

function windowsAt(headTime: number): Windows {
  const start = (window: number, candle: number) => Math.floor(headTime / candle) * candle - window + candle;
  return { hour: start(HOUR, HOUR_CANDLE), day: start(DAY, DAY_CANDLE) };
}

function activityOf(reader: HotReader, { id, mint }: MintBrief, { hour, day }: Windows): Active {
  const { trades } = reader.activity(id, HOUR_CANDLE, hour);
  const { volume } = reader.activity(id, DAY_CANDLE, day);
  return { mint, trades1h: trades, volume24h: volume };
}

/** 0 the whole name or symbol, 1 its beginning, 2 a part; null no match. */
function matchOf({ name, symbol }: MintBrief, wanted: string): 0 | 1 | 2 | null {
  let found: 0 | 1 | 2 | null = null;
  for (const text of [symbol, name]) {
    const at = text?.toLowerCase().indexOf(wanted) ?? -1;
    if (at < 0) continue;
    const kind = at > 0 ? 2 : text!.length === wanted.length ? 0 : 1;
    if (found === null || kind < found) found = kind;
  }
  return found;
}

const bytesOrder = (a: Active, b: Active) => Buffer.compare(a.mint, b.mint);
const byVolume = (a: Active, b: Active) =>
  a.volume24h === b.volume24h ? bytesOrder(a, b) : a.volume24h > b.volume24h ? -1 : 1;
const byTrades = (a: Active, b: Active) => b.trades1h - a.trades1h || byVolume(a, b);

function best(active: readonly Active[], order: (a: Active, b: Active) => number): Active[] {
  return active.toSorted(order).slice(0, RANKED_MAX);
}
