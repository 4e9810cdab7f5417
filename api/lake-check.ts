/**
 * Whether the manifest of the lake is whole. Looked at now and then, beside the requests that ask: a bucket may be slow, and
 * listing costs. That it cannot be reached is not damage; what waits for it is told elsewhere.
 */
import { classify } from "../pipeline/errors.ts";
import type { World } from "../pipeline/world.ts";

const EVERY_MS = 60_000;
/** Whoever asks waits no longer than this for a look to end; then what the one before it found is told. */
const PATIENCE_MS = 1_000;

export class LakeCheck {
  private readonly look: () => Promise<void>;
  private readonly world: Pick<World, "now" | "sleep">;
  private looking: Promise<void> = Promise.resolve();
  private lookedAt: number | null = null;
  private found: string | null = null;

  /** `look` rejects with what is wrong. */
  constructor(look: () => Promise<void>, world: Pick<World, "now" | "sleep">) {
    this.look = look;
    this.world = world;
  }

  /** What is damaged; null: nothing, as far as is known. */
  async damage(): Promise<string | null> {
    const now = this.world.now();
    if (this.lookedAt === null || now - this.lookedAt >= EVERY_MS) {
      this.lookedAt = now;
      this.looking = this.lookNow();
    }
    const enough = new AbortController();
    await Promise.race([this.looking, this.world.sleep(PATIENCE_MS, enough.signal).catch(() => undefined)]);
    enough.abort();
    return this.found;
  }

  private async lookNow(): Promise<void> {
    try {
      await this.look();
      this.found = null;
    } catch (error) {
      const { kind, code, message } = classify(error);
      if (kind === "fatal") this.found = `${message} (${code}); see sluice verify`;
    }
  }
}
