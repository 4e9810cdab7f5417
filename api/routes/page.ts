/** `/`, `/docs` and `/assets/...`: the dashboard, and the API's reference. They may run their own scripts only, and talk to this server only. */
import { type Asset, readAssets } from "../dashboard/assets.ts";
import { refused } from "../errors.ts";
import { text } from "../params.ts";
import { type Route, route } from "./route.ts";

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
  const { page, reference, parts } = await readAssets();
  const byName = new Map(parts.map((part) => [part.name, part]));
  const found = (name: string): Asset => {
    const part = byName.get(name);
    if (part === undefined) throw refused("NOT_FOUND", "the page has no such part");
    return part;
  };
  const about = {
    method: "GET",
    audience: "anyone",
    uncounted: true,
    contentType: "text/html; charset=utf-8",
  } as const;
  const shown = (path: string, summary: string, body: string): Route => ({
    ...about,
    path,
    summary,
    handle: () => ({ status: 200, body, headers: { "content-security-policy": POLICY } }),
  });
  return [
    shown("/", "The dashboard", page),
    shown("/docs", "The API's reference", reference),
    // Where clients of the spinpet server look for it.
    shown("/swagger-ui", "The same as /docs", reference),
    route({
      ...about,
      path: "/assets/:name",
      summary: "Parts of the dashboard: browsers keep them, and ask whether they still hold",
      params: { name: text("file", { min: 1, max: 64 }) },
      version: ({ params }) => found(params.name).hash,
      handle({ params }) {
        const { body, contentType } = found(params.name);
        return { status: 200, body, headers: { "content-type": contentType } };
      },
    }),
  ];
}
