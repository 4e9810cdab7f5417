/** A small curve of the last values, without axes: is it steady, rising, or broken off? */
import { setAttribute, svg } from "./dom.ts";

const WIDTH = 100;
const HEIGHT = 24;

export class Sparkline {
  readonly element: SVGSVGElement;
  private readonly line = svg("path", { class: "line" });
  private readonly area = svg("path", { class: "area" });
  private readonly slots: number;

  /** `slots`: values that fill its width. */
  constructor(slots: number) {
    this.slots = slots;
    this.element = svg(
      "svg",
      { class: "sparkline", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" },
      this.area,
      this.line,
    );
  }

  /** Oldest first; null where nothing is known. */
  show(values: readonly (number | null)[]): void {
    const points = pointsOf(values, this.slots);
    const line = points.map(([x, y], i) => `${i === 0 ? "M" : "L"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");
    setAttribute(this.line, "d", line);
    const [first, last] = [points[0], points.at(-1)];
    setAttribute(this.area, "d", first && last ? `${line}L${last[0]} ${HEIGHT}L${first[0]} ${HEIGHT}Z` : "");
  }
}

/** From zero up to the highest value; the newest at the right edge. */
function pointsOf(values: readonly (number | null)[], slots: number): [x: number, y: number][] {
  const known = values.slice(-slots);
  const highest = Math.max(1e-9, ...known.map((value) => value ?? 0));
  return known.flatMap((value, i) => {
    if (value === null) return [];
    const x = WIDTH - ((known.length - 1 - i) / (slots - 1)) * WIDTH;
    return [[x, HEIGHT - 1 - (value / highest) * (HEIGHT - 4)]];
  });
}
