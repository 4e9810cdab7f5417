/** Wakes one who waits for something else. */
export class Bell {
  private rung = false;
  private wake: (() => void) | null = null;

  ring(): void {
    this.rung = true;
    this.wake?.();
  }

  /**
   * Resolves to true when it is rung, or was since it was last heard; to false when `other` settles before. One listener
   * at a time. Holds nothing of what it has waited beside.
   */
  async rungBefore(other: Promise<unknown>): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.wake = resolve;
    other.then(
      () => resolve(),
      () => resolve(),
    );
    if (this.rung) resolve();
    await promise;
    this.wake = null;
    const { rung } = this;
    this.rung = false;
    return rung;
  }
}
