/**
 * Goal: the page comes whole from this server: every module that one of its modules imports is there, as plain JavaScript
 * that parses, and it may run nothing else. Method: a real server; the page is read as a browser would read it.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { silentLog } from "../../pipeline/log.ts";
import { FakeBackend } from "../fixture.ts";
import { type RunningApi, startApi } from "../server.ts";

let api: RunningApi;
beforeAll(async () => {
  api = await startApi({ host: "127.0.0.1", port: 0, backend: new FakeBackend(), log: silentLog, version: "0.1.0" });
});
afterAll(() => api.stop());

const get = (path: string, headers: Record<string, string> = {}) => fetch(new URL(path, api.url), { headers });

test.each(["/", "/docs", "/swagger-ui"])(
  "%s may run its own scripts only, and loads nothing from elsewhere",
  async (path) => {
    const response = await get(path);
    expect(response.headers.get("content-type")).toBe("text/html; charset=utf-8");
    expect(response.headers.get("content-security-policy")).toBe(
      "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; " +
        "form-action 'none'; frame-ancestors 'none'",
    );
    const html = await response.text();
    expect(html).not.toMatch(/<script>|<style>|style=|onclick=|src="https?:|<link[^>]+https?:/);
  },
);

test.each([
  ["/", 20],
  ["/docs", 1],
])("every part that %s asks for is there, and every module that these import", async (page, modulesAtLeast) => {
  const html = await (await get(page)).text();
  const wanted = [...html.matchAll(/(?:src|href)="(\/assets\/[^"]+)"/g)].map((found) => found[1]!);
  const modules = wanted.filter((path) => path.endsWith(".ts"));
  const seen = new Set<string>();
  for (const path of wanted) {
    const response = await get(path);
    expect([path, response.status]).toEqual([path, 200]);
    if (!path.endsWith(".ts")) continue;
    expect(response.headers.get("content-type")).toBe("text/javascript; charset=utf-8");
    const { imports } = new Bun.Transpiler({ loader: "js" }).scan(await response.text());
    for (const { path: to } of imports) seen.add(new URL(to, new URL(path, api.url)).pathname);
  }
  expect(modules.length).toBeGreaterThanOrEqual(modulesAtLeast);
  for (const path of seen) expect([path, (await get(path)).status]).toEqual([path, 200]);
  // The dashboard's are announced, so that a browser asks for all at once.
  if (page === "/") expect([...seen].filter((path) => !modules.includes(path))).toEqual([]);
});

test("the chart library needs no other module", async () => {
  const response = await get("/assets/lightweight-charts.js");
  const { imports, exports } = new Bun.Transpiler({ loader: "js" }).scan(await response.text());
  expect(imports).toEqual([]);
  expect(exports).toContain("createChart");
});

test("parts are kept by browsers and asked after: the same one is not sent again", async () => {
  const first = await get("/assets/app.ts");
  const etag = first.headers.get("etag")!;
  expect(first.headers.get("cache-control")).toBe("private, no-cache");
  const again = await get("/assets/app.ts", { "if-none-match": etag });
  expect([again.status, await again.text()]).toEqual([304, ""]);
  expect((await get("/assets/app.ts", { "if-none-match": 'W/"other"' })).status).toBe(200);
});
