/**
 * Other addresses of the same routes, which clients of the systems that Sluice takes over from have in their settings:
 * `/indexer/...` and `/v1/api/indexer/...` beside `/api/indexer/...`. Errors have the same shape at all of them.
 */
import type { Route } from "./route.ts";

const HOME = "/api/indexer/";
const OTHERS = ["/indexer/", "/v1/api/indexer/"];

/** The routes under `/api/indexer/`, at their other addresses. */
export function aliasesOf(routes: readonly Route[]): Route[] {
  const homes = routes.filter((route) => route.path.startsWith(HOME));
  return OTHERS.flatMap((other) =>
    homes.map((route) => ({
      ...route,
      path: other + route.path.slice(HOME.length),
      summary: `The same as ${route.path}`,
      errorBody: route.errorBody ?? (({ code, message, id }) => ({ success: false, error: { code, message, id } })),
    })),
  );
}
