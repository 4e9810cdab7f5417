/**
 * A bounded cache in two generations: what is used stays in the young one; when that is full, the old one is forgotten.
 * Nearly the choice of a true LRU at the cost of a Map look-up.
 */
export class Cache<Value> {
  private readonly generationMax: number;
  private young = new Map<string, Value>();
  private old = new Map<string, Value>();

  /** Holds at most twice `generationMax` values. */
  constructor(generationMax: number) {
    this.generationMax = generationMax;
  }

  get(key: string): Value | undefined {
    const value = this.young.get(key);
    if (value !== undefined) return value;
    const old = this.old.get(key);
    if (old !== undefined) this.set(key, old);
    return old;
  }

  set(key: string, value: Value): void {
    if (this.young.size >= this.generationMax && !this.young.has(key)) {
      this.old = this.young;
      this.young = new Map();
    }
    this.young.set(key, value);
  }

  delete(key: string): void {
    this.young.delete(key);
    this.old.delete(key);
  }

  clear(): void {
    this.young = new Map();
    this.old = new Map();
  }
}
