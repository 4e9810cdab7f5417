/**
 * Watches how decoding fares over block time and raises alarms: for a program, when too few of its payloads are understood;
 * for a dataset, when its payloads have a layout that nobody knows. A function of the blocks: no clock, and the same whether
 * they come one at a time or by the hundred.
 */
import {
  type Alarm,
  type AlarmChange,
  type AlarmKind,
  type AlarmRules,
  DEFAULT_ALARM_RULES,
} from "../../pipeline/alarm.ts";
import { SlidingCounts } from "./sliding-counts.ts";

/** Counters of a program or of one of its datasets; they only grow. */
export interface WatchedCounts {
  readonly seen: number;
  /** Became a row, or are known to be unwanted. */
  readonly understood: number;
  /** Of those understood, the ones with bytes behind all known fields. */
  readonly grown: number;
  /** Fit no known layout. */
  readonly misfit: number;
}

export interface Watched {
  readonly program: string;
  /** Null: the program as a whole. */
  readonly dataset: string | null;
  readonly counts: () => WatchedCounts;
}

/** Share of the payloads that were understood, 0 to 1; null where there were none. */
export interface Shares {
  readonly fiveMinutes: number | null;
  readonly oneHour: number | null;
}

const FIELDS = ["seen", "understood", "grown", "misfit"] as const;
const [SEEN, UNDERSTOOD, GROWN, MISFIT] = [0, 1, 2, 3];
/** So many payloads that fit no layout, and such a part of the event's: less is noise, and is in quarantine all the same. */
const MISFITS_MIN = 10;
const MISFIT_SHARE_MIN = 0.05;
/** Changes that are remembered for whoever tells them. */
const CHANGES_MAX = 100;

export class DecodeWatch {
  private readonly series: readonly Series[];
  private readonly rules: AlarmRules;
  private readonly active = new Map<string, Alarm>();
  private readonly recent: AlarmChange[] = [];
  private serial = 0;
  private firstTime: number | null = null;
  private lastTime = 0;
  private last: { slot: number; time: number } | null = null;

  constructor(watched: readonly Watched[], rules: AlarmRules = DEFAULT_ALARM_RULES) {
    this.series = watched.map((one) => new Series(one));
    this.rules = rules;
  }

  /** A block has been decoded: what was counted since the last call belongs to it. `time`: Unix seconds. */
  block(slot: number, time: number): void {
    this.firstTime ??= time;
    this.last = { slot, time };
    this.lastTime = Math.max(this.lastTime, time);
    for (const series of this.series) {
      if (!series.count(time)) continue;
      const kind: AlarmKind = series.watched.dataset === null ? "share_fell" : "unknown_layout";
      const detail = kind === "share_fell" ? this.shareFell(series) : unknownLayout(series);
      this.judge(kind, series.watched, detail, slot, time);
    }
  }

  shares(program: string, dataset: string | null): Shares {
    const series = this.series.find(({ watched }) => watched.program === program && watched.dataset === dataset);
    if (series === undefined) return { fiveMinutes: null, oneHour: null };
    return { fiveMinutes: shareOf(series.sliding.short), oneHour: shareOf(series.sliding.long) };
  }

  get alarms(): readonly Alarm[] {
    return [...this.active.values()];
  }

  /** The newest changes, oldest first. */
  get changes(): readonly AlarmChange[] {
    return this.recent;
  }

  /** The block watched last; null: none yet. */
  get at(): { readonly slot: number; readonly time: number } | null {
    return this.last;
  }

  /** How much block time has been watched, seconds. */
  get watchedSeconds(): number {
    return this.firstTime === null ? 0 : this.lastTime - this.firstTime;
  }

  /** `detail` null: nothing is wrong. */
  private judge(
    kind: AlarmKind,
    { program, dataset }: Watched,
    detail: string | null,
    slot: number,
    time: number,
  ): void {
    const id = [kind, program, ...(dataset === null ? [] : [dataset])].join("/");
    const known = this.active.get(id);
    if (detail === null && known !== undefined) {
      this.active.delete(id);
      this.tell("cleared", known, slot, time);
    } else if (detail !== null && known === undefined) {
      const alarm: Alarm = { id, kind, program, dataset, slot, time, detail };
      this.active.set(id, alarm);
      this.tell("raised", alarm, slot, time);
    }
  }

  private tell(change: AlarmChange["change"], alarm: Alarm, slot: number, time: number): void {
    this.recent.push({ serial: ++this.serial, change, slot, time, alarm });
    if (this.recent.length > CHANGES_MAX) this.recent.shift();
  }

  private shareFell({ sliding }: Series): string | null {
    const { sharePercent, dropPercent, payloads } = this.rules;
    const seen = sliding.short[SEEN]!;
    if (seen < payloads) return null;
    const now = 100 * shareOf(sliding.short)!;
    const hour = 100 * shareOf(sliding.long)!;
    if (now >= sharePercent && now > hour - dropPercent) return null;
    return `${now.toFixed(1)} % of ${seen} payloads of five minutes are understood, ${hour.toFixed(1)} % of the hour's`;
  }
}

class Series {
  readonly watched: Watched;
  readonly sliding = new SlidingCounts(FIELDS.length);
  private before: WatchedCounts = { seen: 0, understood: 0, grown: 0, misfit: 0 };

  constructor(watched: Watched) {
    this.watched = watched;
  }

  /** Takes in what has come since the last call. False when nothing has changed that could be judged. */
  count(time: number): boolean {
    const moved = this.sliding.advance(time);
    const now = this.watched.counts();
    if (now.seen === this.before.seen) return moved;
    for (const [f, field] of FIELDS.entries()) this.sliding.add(time, f, now[field] - this.before[field]);
    this.before = { ...now };
    return true;
  }
}

/** A single event with more bytes is enough: a program does not write them by accident. */
function unknownLayout({ sliding: { short, long } }: Series): string | null {
  const grown = long[GROWN]!;
  if (grown > 0) return `${grown} of ${long[SEEN]} payloads of an hour are longer than every known layout`;
  for (const [window, name] of [
    [short, "five minutes"],
    [long, "an hour"],
  ] as const) {
    const misfits = window[MISFIT]!;
    if (misfits >= MISFITS_MIN && misfits >= MISFIT_SHARE_MIN * window[SEEN]!) {
      return `${misfits} of ${window[SEEN]} payloads of ${name} fit no known layout`;
    }
  }
  return null;
}

function shareOf(window: Float64Array): number | null {
  return window[SEEN] === 0 ? null : window[UNDERSTOOD]! / window[SEEN]!;
}
