/** Two stages as one, for where nothing rests between them: what the first makes goes straight into the second. */
import type { Stage } from "./stage.ts";

/** `first` keeps nothing between batches, so what is taken back and what ends concerns only `second`. */
export function then<In, Mid, Out>(
  first: Pick<Stage<In, Mid>, "name" | "apply">,
  second: Stage<Mid, Out>,
): Stage<In, Out> {
  return {
    name: `${first.name} and ${second.name}`,
    apply(batch) {
      const between = first.apply(batch);
      return between === null ? null : second.apply(between);
    },
    undo: (to) => second.undo?.(to),
    end: () => second.end?.() ?? null,
  };
}
