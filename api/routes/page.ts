/** `/` and `/assets/...`: the dashboard. It may run its own scripts only, and talk to this server only. */
import { type Asset, readAssets } from "../dashboard/assets.ts";
import type { Route } from "./route.ts";

const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

export async function pageRoutes(): Promise<Route[]> {
  const [page, ...parts] = await readAssets();
  return [
    {
      ...routeOf(page!),
      handle: () => ({ status: 200, body: page!.body, headers: { "content-security-policy": POLICY } }),
    },
    // Browsers keep the parts, and ask whether they still hold.
    ...parts.map((part) => ({ ...routeOf(part), version: () => part.hash })),
  ];
}

function routeOf({ path, contentType, body }: Asset): Route {
  return {
    method: "GET",
    path,
    audience: "anyone",
    uncounted: true,
    summary: "Part of the dashboard",
    contentType,
    handle: () => ({ status: 200, body }),
  };
}
