/** Chromium for tests: that of the system, since a test downloads nothing. */
import { existsSync } from "node:fs";
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core";

const PLACES = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

/** Null: there is none. `CHROMIUM` names another one. */
export function findChromium(): string | null {
  const named = process.env["CHROMIUM"];
  return (named === undefined ? PLACES : [named]).find((path) => existsSync(path)) ?? null;
}

/** Without the sandbox, which needs rights that a container does not have, and without calls to anywhere. */
export function launch(executablePath: string): Promise<Browser> {
  const args = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"];
  return chromium.launch({ executablePath, args: [...args, "--disable-component-update", "--disable-sync"] });
}

/** A page, and everything that went wrong on it: errors of scripts, refusals by its policy, requests to elsewhere. */
export interface Watched {
  readonly page: Page;
  readonly problems: string[];
}

/** `isExpected`: messages of the console that belong to the test. */
export async function open(
  browser: Browser,
  url: string,
  options: BrowserContextOptions = {},
  isExpected: (message: string) => boolean = () => false,
): Promise<Watched> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
  const page = await context.newPage();
  const problems: string[] = [];
  const note = (problem: string) => {
    if (!isExpected(problem)) problems.push(problem);
  };
  page.on("pageerror", (error) => note(`script: ${error.message}`));
  page.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning") note(`console: ${message.text()}`);
  });
  page.on("request", (request) => {
    if (new URL(request.url()).origin !== new URL(url).origin) note(`elsewhere: ${request.url()}`);
  });
  await page.goto(url);
  return { page, problems };
}
