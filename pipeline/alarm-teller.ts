/**
 * Tells of alarms as they are raised and cleared: in the log, and to a webhook where one is set. What was told is kept where a
 * restart or another host finds it, so that nobody is told twice of one alarm.
 */
import type { Alarm, AlarmChange, ToldAlarms } from "./alarm.ts";
import { classify, describe } from "./errors.ts";
import type { Log } from "./log.ts";
import type { Webhook } from "./webhook.ts";
import { backoffMs, type World } from "./world.ts";

const LOOK_EVERY_MS = 1_000;
const ATTEMPTS_MAX = 5;
const BACKOFF = { baseMs: 1_000, capMs: 15_000, floorMs: 200 };
/** An alarm of an earlier run counts as over when so much block time has passed without it. */
const OVER_AFTER_SECONDS = 3_600;

/** What raises alarms, as far as the teller sees it. */
export interface AlarmSource {
  readonly alarms: readonly Alarm[];
  readonly changes: readonly AlarmChange[];
  /** Block time watched in this run, seconds. */
  readonly watchedSeconds: number;
  /** The block watched last; null: none yet. */
  readonly at: { readonly slot: number; readonly time: number } | null;
}

export interface AlarmTellerOptions {
  readonly source: string;
  readonly watch: AlarmSource;
  /** Null: alarms are logged and nothing more. */
  readonly webhook: Pick<Webhook, "post" | "origin"> | null;
  readonly read: () => Promise<ToldAlarms | null>;
  readonly write: (told: ToldAlarms) => Promise<void>;
  readonly world: World;
  readonly log: Log;
}

export interface WebhookStatus {
  readonly sent: number;
  /** Messages that were given up. */
  readonly failed: number;
  readonly lastError: string | null;
}

export class AlarmTeller {
  private readonly o: AlarmTellerOptions;
  private told: ToldAlarms | null = null;
  private serial = 0;
  private webhook: WebhookStatus = { sent: 0, failed: 0, lastError: null };

  constructor(options: AlarmTellerOptions) {
    this.o = options;
  }

  /** For reports; null without a webhook. */
  status(): WebhookStatus | null {
    return this.o.webhook === null ? null : this.webhook;
  }

  /** Runs until `signal` aborts, and then tells what is left, with one attempt each. Never throws. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.look(signal);
      await this.o.world.sleep(LOOK_EVERY_MS, signal).catch(() => undefined);
    }
    await this.look(signal);
  }

  private async look(signal: AbortSignal): Promise<void> {
    try {
      this.told ??= (await this.o.read()) ?? {};
    } catch (error) {
      this.o.log("debug", "what was told of alarms could not be read", { reason: describe(error) });
      return;
    }
    for (const change of this.o.watch.changes) {
      if (change.serial <= this.serial) continue;
      const missed = change.serial - this.serial - 1;
      if (missed > 0) this.o.log("warning", `${missed} changes of alarms came too fast to be told`);
      this.serial = change.serial;
      await this.tell(change, signal);
    }
    await this.clearForgotten(signal);
  }

  /** An alarm of an earlier run that has not come back. */
  private async clearForgotten(signal: AbortSignal): Promise<void> {
    const { watch } = this.o;
    if (watch.watchedSeconds < OVER_AFTER_SECONDS || watch.at === null) return;
    const active = new Set(watch.alarms.map(({ id }) => id));
    for (const alarm of Object.values(this.told ?? {})) {
      if (active.has(alarm.id)) continue;
      await this.tell({ serial: this.serial, change: "cleared", ...watch.at, alarm }, signal);
    }
  }

  private async tell(change: AlarmChange, signal: AbortSignal): Promise<void> {
    const { id } = change.alarm;
    const { [id]: known, ...others } = this.told ?? {};
    const isRaised = change.change === "raised";
    // It was raised before a restart, and lasts.
    if (isRaised && known !== undefined) return;
    this.told = isRaised ? { ...others, [id]: change.alarm } : others;
    const { kind, program, dataset, detail } = change.alarm;
    const fields = { alarm: kind, program, dataset, slot: change.slot };
    this.o.log(isRaised ? "warning" : "info", isRaised ? `alarm: ${detail}` : "the alarm is over", fields);
    await this.post(change, signal);
    await this.o
      .write(this.told)
      .catch((error) => this.o.log("debug", "what was told could not be written down", { reason: describe(error) }));
  }

  private async post(change: AlarmChange, signal: AbortSignal): Promise<void> {
    const { webhook, source, world, log } = this.o;
    if (webhook === null) return;
    const body = messageOf(change, source);
    for (let attempt = 1; ; attempt++) {
      try {
        await webhook.post(body);
        this.webhook = { ...this.webhook, sent: this.webhook.sent + 1, lastError: null };
        return;
      } catch (error) {
        const { kind, message, code } = classify(error);
        this.webhook = { ...this.webhook, lastError: message };
        if (kind === "transient" && attempt < ATTEMPTS_MAX && !signal.aborted) {
          await world.sleep(backoffMs(world, attempt, BACKOFF), signal).catch(() => undefined);
          continue;
        }
        this.webhook = { ...this.webhook, failed: this.webhook.failed + 1 };
        log("warning", `the alarm's webhook was not reached: ${message}`, { code, webhook: webhook.origin });
        return;
      }
    }
  }
}

/** What a webhook is sent; `text` is what chat services show. */
export function messageOf({ change, slot, time, alarm }: AlarmChange, source: string) {
  const { id, kind, program, dataset, detail } = alarm;
  const what = dataset === null ? program : `${program}, ${dataset}`;
  const text =
    change === "raised"
      ? `Sluice (${source}): ${kind.replace("_", " ")} of ${what} since slot ${alarm.slot}: ${detail}`
      : `Sluice (${source}): over at slot ${slot}: ${kind.replace("_", " ")} of ${what}, raised at slot ${alarm.slot}`;
  return { version: 1, change, source, id, kind, program, dataset, slot, time, since: alarm.slot, detail, text };
}
