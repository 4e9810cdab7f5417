/**
 * Alarms of the decoders, as data: what is wrong with which program, since which block. They follow block time, so the same
 * chain raises the same alarms at the same blocks, live or in catch-up.
 */

/**
 * share_fell: too few of a program's payloads are understood. unknown_layout: an event has payloads that are longer than every
 * known layout, or a noticeable part of them fits none.
 */
export type AlarmKind = "share_fell" | "unknown_layout";

export interface Alarm {
  /** Kind, program and dataset: the same for as long as it lasts, and when it comes back. */
  readonly id: string;
  readonly kind: AlarmKind;
  readonly program: string;
  /** Null: the program as a whole. */
  readonly dataset: string | null;
  /** The block at which it was raised, and that block's time, Unix seconds. */
  readonly slot: number;
  readonly time: number;
  /** What was seen at that block, for a human. */
  readonly detail: string;
}

/** An alarm that was raised, or that is over; `slot` and `time` are those of the change. */
export interface AlarmChange {
  /** 1, 2, ... within one run of the decoder. */
  readonly serial: number;
  readonly change: "raised" | "cleared";
  readonly slot: number;
  readonly time: number;
  readonly alarm: Alarm;
}

export interface AlarmRules {
  /** Percent of a program's payloads of the last five minutes that must be understood. */
  readonly sharePercent: number;
  /** Or so many percent points fewer than over the last hour. */
  readonly dropPercent: number;
  /** Payloads that the five minutes must hold before their share means anything. */
  readonly payloads: number;
}

export const DEFAULT_ALARM_RULES: AlarmRules = { sharePercent: 90, dropPercent: 10, payloads: 100 };

/** Alarms that were told and are not over, by id: kept where a restart finds them, so that nobody is told twice. */
export type ToldAlarms = Readonly<Record<string, Alarm>>;
