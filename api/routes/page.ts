/** `/`: a status page that needs no build and no network, fed by `/v1/stages`. */
import type { Route } from "./route.ts";

export async function readPage(): Promise<Route> {
  const html = await Bun.file(new URL("../dashboard/status.html", import.meta.url)).text();
  const policy = [
    "default-src 'none'",
    `script-src ${hashOf(html, "script")}`,
    `style-src ${hashOf(html, "style")}`,
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join("; ");
  return {
    method: "GET",
    path: "/",
    audience: "anyone",
    summary: "Status page for a browser",
    contentType: "text/html; charset=utf-8",
    handle: async () => ({ status: 200, body: html, headers: { "content-security-policy": policy } }),
  };
}

/** Allows exactly the page's own inline element. */
function hashOf(html: string, element: "script" | "style"): string {
  const content = new RegExp(`<${element}>([^]*?)</${element}>`).exec(html)?.[1] ?? "";
  return `'sha256-${new Bun.CryptoHasher("sha256").update(content).digest("base64")}'`;
}
