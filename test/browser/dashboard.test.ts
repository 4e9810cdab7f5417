/**
 * Goal: a person at a browser sees what is so: at the first paint, as it happens, after the API was away, and when something
 * is wrong. Method: the page in a real Chromium, against the real API and live feed over a simulated market that goes on when
 * it is told to; what the page shows is held against the API's own answers.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import type { Browser, Page } from "playwright-core";
import { Transient } from "../../pipeline/errors.ts";
import { findChromium, launch, open, type Watched } from "./browser.ts";
import { Ground } from "./ground.ts";

const executable = findChromium();
const PATIENCE_MS = 30_000;
let browser: Browser;
let ground: Ground;
let opened: Watched[] = [];

async function look(path: string, options = {}, isExpected?: (message: string) => boolean): Promise<Page> {
  const watched = await open(browser, `${ground.url}${path}`, options, isExpected);
  watched.page.setDefaultTimeout(PATIENCE_MS);
  opened.push(watched);
  return watched.page;
}

interface Trade {
  readonly signature: string;
  readonly slot: number;
}

/** Signatures of the trades that the page lists, newest first. */
async function shownTrades(page: Page): Promise<string[]> {
  const titles = await page.locator(".trades tbody tr[title]").evaluateAll((rows) => {
    return (rows as unknown as { title: string }[]).map((row) => row.title);
  });
  return titles.map((title) => title.split("signature ")[1]!);
}

/** Waits until the page lists what the API answers. */
async function tradesAgree(page: Page, mint: string): Promise<Trade[]> {
  for (;;) {
    const { data } = await ground.get<{ data: Trade[] }>(`/v1/mints/${mint}/trades?limit=60`);
    const shown = await shownTrades(page);
    if (
      Bun.deepEquals(
        shown,
        data.map((trade) => trade.signature),
      )
    )
      return data;
    await Bun.sleep(50);
  }
}

/** Processes blocks until the token has traded again; its newest trade. */
async function goUntilTraded(mint: string): Promise<Trade> {
  const newest = async () => (await ground.get<{ data: Trade[] }>(`/v1/mints/${mint}/trades?limit=1`)).data[0]!;
  const before = await newest();
  for (;;) {
    expect(await ground.market.go(5)).toBe(true);
    const now = await newest();
    if (now.signature !== before.signature && now.slot >= before.slot) return now;
  }
}

const hottest = async () =>
  (await ground.get<{ data: { mint: string; symbol: string | null }[] }>("/v1/mints/ranked?limit=1")).data[0]!;
const waitForText = (page: Page, selector: string, text: string | RegExp) =>
  page.locator(selector).filter({ hasText: text }).first().waitFor();

/** From now on only the feed can tell the page of tokens. */
const cutReads = (page: Page) => page.route(/\/v1\/(mints|candles)\//, (route) => route.abort());
const isCutOff = (message: string) => /net::ERR_|WebSocket/.test(message);

function dashboard(chromium: string): void {
  beforeAll(async () => {
    browser = await launch(chromium);
    ground = await Ground.start({ seed: 5, blocks: 2_000 });
    await ground.market.go(150);
  });
  afterAll(async () => {
    await browser.close();
    await ground.dispose();
  });
  afterEach(async () => {
    const problems = opened.flatMap((watched) => watched.problems);
    for (const { page } of opened) await page.context().close();
    opened = [];
    expect(problems).toEqual([]);
  });

  test("first paint: figures, picture, tokens and health, from this server alone", async () => {
    const page = await look("/");
    await waitForText(page, ".pill", "running");
    await waitForText(page, ".figures", "370,500,1");
    expect(await page.locator(".picture .part").count()).toBe(8);
    await waitForText(page, ".limiter", "Limited by source");
    const listed = await ground.get<{ data: { mint: string }[] }>("/v1/mints/ranked?by=hot&limit=12");
    await page.locator(".mints tbody tr").first().waitFor();
    const links = await page
      .locator(".mints")
      .first()
      .locator("tbody a")
      .evaluateAll((all) => {
        return (all as unknown as { hash: string }[]).map((link) => link.hash);
      });
    expect(links).toEqual(listed.data.map(({ mint }) => `#/token/${mint}`));
    await page.locator(".checks li").first().waitFor();
    await waitForText(page, ".feed", /^live$/);
  });

  test("rates follow the reports, and what is in trouble stands out", async () => {
    // Of `/health`, as long as a unit has failed.
    const page = await look("/", {}, (message) => /status of 503/.test(message));
    await waitForText(page, ".part-ingest .state", "running");
    const steady = setInterval(() => ground.report(25), 300);
    try {
      await waitForText(page, ".part-ingest .speed", "25.0 blocks/s");
      ground.backend.change("decode.main", {
        state: "failed",
        errors: [{ at: 1, code: "PLANTED", message: "<b>x</b>", hint: "Pull it out." }],
      });
      await page.locator(".part-decode[data-mood=bad][data-limits=stage]").waitFor();
      await waitForText(page, ".pill", "degraded");
      // What a report contains is text, whatever it looks like.
      await waitForText(page, ".errors", "<b>x</b>");
      await waitForText(page, ".errors", "Pull it out.");
    } finally {
      clearInterval(steady);
      ground.backend.change("decode.main", { state: "running", errors: [] });
    }
  });

  test("a token is told live: trades, chart and finality without reading again", async () => {
    const { mint } = await hottest();
    const page = await look(`/#/token/${mint}`, {}, isCutOff);
    await waitForText(page, ".feed", /^live$/);
    await tradesAgree(page, mint);
    await page.locator(".chart canvas").first().waitFor();
    await cutReads(page);
    const legend = await page.locator(".legend").textContent();
    const finality = await page.locator(".trades .final").textContent();
    await goUntilTraded(mint);
    await tradesAgree(page, mint);
    expect(await page.locator(".legend").textContent()).not.toBe(legend);
    expect(await page.locator(".trades .final").textContent()).not.toBe(finality);
    // One price: that of the newest trade, at the top as in the list.
    const newest = await page.locator(".trades tbody tr[title] td:nth-child(3)").first().textContent();
    expect(await page.locator(".token-head .now").textContent()).toBe(`${newest} SOL`);
  });

  test.each([
    ["/", 1280],
    ["token", 1280],
    ["/", 320],
    ["token", 320],
    ["/", 768],
  ] as const)("what comes finds its place kept: nothing jumps while %s is loaded, %i px wide", async (view, width) => {
    const path = view === "/" ? view : `/#/token/${(await hottest()).mint}`;
    const page = await look(path, { viewport: { width, height: 800 } });
    await page.locator("tbody tr").first().waitFor();
    await page.waitForFunction("document.querySelectorAll('[data-state=loading]').length === 0");
    const moved =
      "new Promise((done) => new PerformanceObserver((list) => done(list.getEntries())).observe({ type: 'layout-shift', buffered: true }))";
    const shifts = (await page.evaluate(`Promise.race([${moved}, []])`)) as { value: number }[];
    // Below 0.1 is what web.dev/cls calls good.
    expect(shifts.reduce((sum, { value }) => sum + value, 0)).toBeLessThan(0.1);
    const beyond = "document.documentElement.scrollWidth - document.documentElement.clientWidth";
    expect(await page.evaluate(beyond)).toBe(0);
  });

  test("the API restarts: the page says so, goes on where it was, and misses nothing", async () => {
    const { mint } = await hottest();
    const page = await look(`/#/token/${mint}`, {}, isCutOff);
    await waitForText(page, ".feed", /^live$/);
    await tradesAgree(page, mint);
    await ground.stop();
    await waitForText(page, ".pill", "no answer");
    await waitForText(page, ".feed", "not live");
    await waitForText(page, ".banner", "The API does not answer.");
    await cutReads(page);
    await ground.market.go(40);
    await ground.serve();
    await waitForText(page, ".feed", /^live$/);
    const newest = await goUntilTraded(mint);
    const agreed = await tradesAgree(page, mint);
    expect(agreed[0]).toEqual(newest);
    await waitForText(page, ".pill", "running");
    await page.locator(".banner").first().waitFor({ state: "hidden" });
  });

  test("errors: what cannot be read says so where it would stand, and comes back by itself", async () => {
    const page = await look("/", {}, (message) => /status of 503/.test(message));
    await page.locator(".pipeline[data-state=ready]").waitFor();
    ground.backend.failure = new Transient("BROKER_SILENT", "planted");
    await page.locator(".pipeline[data-state=stale]").waitFor();
    await page.reload();
    await page.locator(".pipeline[data-state=error]").waitFor();
    await waitForText(page, ".pipeline .trouble", "BROKER_SILENT");
    // Tokens do not depend on the broker.
    await page.locator(".mints tbody tr").first().waitFor();
    ground.backend.failure = null;
    await page.locator(".pipeline").getByRole("button", { name: "Try again" }).click();
    await page.locator(".pipeline[data-state=ready]").waitFor();
  });

  test("where a token is wanted, that is asked for once and nothing is shown as broken", async () => {
    const page = await look("/", {}, (message) => /status of 401/.test(message));
    const json = {
      type: "about:blank",
      title: "Unauthorized",
      status: 401,
      detail: "planted",
      code: "TOKEN_NEEDED",
      id: "1",
    };
    await page.route(/\/v1\/|\/api\//, (route) => route.fulfill({ status: 401, json }));
    await page.reload();
    await waitForText(page, ".pill", "token wanted");
    await page.getByLabel("Token", { exact: true }).waitFor();
    await page.locator(".mints[data-state=empty]").first().waitFor();
    expect(await page.locator("[data-state=error].panel").count()).toBe(0);
    expect(await page.getByRole("button", { name: "Try again" }).locator("visible=true").count()).toBe(0);
  });

  test("a token that nobody knows", async () => {
    const page = await look("/#/token/USDSwr9ApdHk5bvJKMjzff41FfuX8bSxdKcR81vTwcA", {}, (message) =>
      /404/.test(message),
    );
    await waitForText(page, ".trouble", "never seen");
  });

  test("stop and start, by keyboard, and only when confirmed", async () => {
    const page = await look("/");
    const button = page.getByRole("button", { name: "Stop…" });
    await button.focus();
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "Stop indexing?" }).waitFor();
    await page.keyboard.press("Escape");
    expect(ground.backend.wishes).toEqual([]);
    await button.press("Enter");
    await page.keyboard.press("Tab");
    await page.keyboard.press("Enter");
    await waitForText(page, ".pill", "stopped");
    expect(ground.backend.wishes.map((wish) => wish.running)).toEqual([false]);
    await page.getByRole("button", { name: "Start…" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Start" }).click();
    await waitForText(page, ".pill", "running");
    expect(ground.backend.wishes.map((wish) => wish.running)).toEqual([false, true]);
  });

  test("a wish that is refused is told where it was made; a token can be given there", async () => {
    const page = await look("/", {}, (message) => /status of 40[13]/.test(message));
    const asked: (string | undefined)[] = [];
    await page.route("**/api/indexer/stop*", (route) => {
      const { authorization } = route.request().headers();
      asked.push(authorization);
      const error = { success: false, error: { code: "TOKEN_NEEDED", message: "a token is needed", id: "1" } };
      return authorization === undefined ? route.fulfill({ status: 401, json: error }) : route.fulfill({ json: {} });
    });
    await page.getByRole("button", { name: "Stop…" }).click();
    await page.getByRole("button", { name: "Stop", exact: true }).click();
    await waitForText(page, "dialog [role=alert]", "A token is needed (TOKEN_NEEDED)");
    await page.getByLabel("Token with the scope control").fill("slc_test");
    await page.keyboard.press("Enter");
    await page.locator("dialog").waitFor({ state: "hidden" });
    expect(asked).toEqual([undefined, "Bearer slc_test"]);
  });

  test("the API's reference: a route is found, filled in and asked; what steers is not asked from there", async () => {
    const { mint } = await hottest();
    const page = await look("/docs");
    await page.getByLabel("Find a route").fill("/trades");
    const route = page.locator("#getV1MintsByMintTrades");
    await route.locator("summary").first().click();
    await route.getByLabel("mint").fill(mint);
    await route.getByLabel("limit").fill("1");
    await route.getByRole("button", { name: "Ask" }).click();
    await waitForText(page, ".result", "200 OK");
    await waitForText(page, ".result pre", `"mint": "${mint}"`);
    expect(await page.locator("#postApiIndexerStop").isVisible()).toBe(false);
    await page.goto(`${ground.url}/docs#postApiIndexerStop`);
    await page.reload();
    const stop = page.locator("#postApiIndexerStop");
    await stop.locator(".curl").waitFor();
    expect(await stop.getByRole("button", { name: "Ask" }).count()).toBe(0);
  });

  test("by keyboard past the header, to the same view; an address that is none says so", async () => {
    const { mint } = await hottest();
    const page = await look(`/#/token/${mint}`);
    await page.locator(".token-head h1").waitFor();
    await page.keyboard.press("Tab");
    await page.keyboard.press("Enter");
    expect(await page.evaluate("document.activeElement.id")).toBe("main");
    expect(new URL(page.url()).hash).toBe(`#/token/${mint}`);
    expect(await page.locator(".token-head h1").count()).toBe(1);
    await page.evaluate("location.hash = '#/token/0OIl'");
    await waitForText(page, "#main", "There is nothing at this address");
    await page.getByRole("link", { name: "Overview", exact: true }).click();
    await page.locator(".picture").waitFor();
  });

  test("a phone: nothing is wider than the screen; a token is found by its symbol, without a mouse", async () => {
    const { mint, symbol } = await hottest();
    const page = await look("/", { viewport: { width: 360, height: 740 }, colorScheme: "light" });
    const excess = () => page.evaluate("document.documentElement.scrollWidth - innerWidth");
    await page.locator(".mints tbody tr").first().waitFor();
    expect(await excess()).toBe(0);
    await page.keyboard.press("/");
    await page.keyboard.type(symbol!);
    await page.getByRole("option").first().waitFor();
    await page.keyboard.press("Enter");
    await page.waitForURL(`**/#/token/${mint}`);
    await tradesAgree(page, mint);
    expect(await excess()).toBe(0);
  });
}

if (executable !== null) describe("the dashboard", () => dashboard(executable));
else {
  console.error(
    "No Chromium is installed, so the page is not tested. Debian: apt-get install chromium; or set CHROMIUM.",
  );
  test.skipIf(true)("the dashboard, for want of a Chromium", () => undefined);
}
