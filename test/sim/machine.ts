/**
 * One process of the fleet: everything its units do to the outside world passes here, so this is where it is slow, where
 * it sleeps too long (and wakes up as a zombie) and where it dies. A dead process never hears of anything again: its
 * calls do not return.
 */
import type { World } from "../../pipeline/world.ts";
import type { VirtualClock } from "./clock.ts";
import type { Faults } from "./faults.ts";

/** Start of virtual time, ms since the Unix epoch. */
export const EPOCH_MS = 1_700_000_000_000;

export interface Surroundings {
  readonly clock: VirtualClock;
  readonly faults: Faults;
  trace(line: string): void;
}

export class Machine {
  readonly name: string;
  readonly world: World;
  private readonly s: Surroundings;
  private readonly onCrash: (machine: Machine) => void;
  private alive = true;
  private sleepsUntil = 0;

  constructor(name: string, surroundings: Surroundings, onCrash: (machine: Machine) => void) {
    this.name = name;
    this.s = surroundings;
    this.onCrash = onCrash;
    const { clock, faults } = surroundings;
    this.world = {
      now: () => EPOCH_MS + clock.now,
      monotonic: () => clock.now,
      random: () => faults.fraction("world", name),
      sleep: async (ms, signal) => {
        await clock.sleep(ms, signal);
        await this.awake();
      },
    };
  }

  /** A call that changes something outside: the process can be interrupted before it and after it. */
  async call<T>(place: string, action: () => T): Promise<T> {
    await this.step(place);
    try {
      return action();
    } finally {
      await this.step(place);
    }
  }

  /** A call that asks something, or changes what may be lost. */
  async ask<T>(place: string, action: () => T): Promise<T> {
    await this.step(place);
    return action();
  }

  /** A moment at which the process can be interrupted. */
  async step(place: string): Promise<void> {
    const { clock, faults } = this.s;
    await this.awake();
    if (faults.roll("crash", place)) {
      this.s.trace(`${this.name} dies at ${place}`);
      this.alive = false;
      this.onCrash(this);
    } else if (faults.roll("pause", place)) {
      const ms = 6_000 + faults.pick("pause ms", place, 30_000);
      this.s.trace(`${this.name} sleeps ${ms} ms at ${place}`);
      this.sleepsUntil = clock.now + ms;
    } else {
      const slow = faults.roll("slow", place) ? 2_000 : 0;
      await clock.sleep(slow + faults.pick("latency", place, 8));
    }
    await this.awake();
  }

  /** Goes on when the process does. */
  async awake(): Promise<void> {
    while (this.alive && this.s.clock.now < this.sleepsUntil) {
      await this.s.clock.sleep(this.sleepsUntil - this.s.clock.now);
    }
    if (!this.alive) await new Promise<never>(() => undefined);
  }
}
