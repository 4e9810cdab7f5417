import type { Page } from "./metrics.ts";
import type { View } from "./view.ts";
export function sinkMetrics(_page: Page, _view: View): number {
  return 0;
}
