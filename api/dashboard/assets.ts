/**
 * The parts of the page. Its modules are TypeScript: Bun takes the types away when the server starts, and browsers load
 * them one by one as they are, so there is no build to run and nothing to keep in step. The chart library is served from
 * its package. Nothing comes from elsewhere.
 */
import { readdir } from "node:fs/promises";
import { dirname, join } from "node:path";

export interface Asset {
  /** Its URL is `/assets/` and this. */
  readonly name: string;
  readonly contentType: string;
  readonly body: string;
  /** Tells this content from every other. */
  readonly hash: string;
}

const HERE = new URL("./", import.meta.url);
/** Stands in the page where its modules are announced, so that the browser asks for all of them at once. */
const MODULES = "<!-- modules -->";

export interface Assets {
  /** The dashboard. */
  readonly page: string;
  /** The API's reference. */
  readonly reference: string;
  readonly parts: readonly Asset[];
}

export async function readAssets(): Promise<Assets> {
  const modules = await Promise.all((await moduleFiles()).map(readModule));
  const ofPage = modules.filter(({ name }) => !name.startsWith("reference"));
  const announced = ofPage.map(({ name }) => `<link rel="modulepreload" href="/assets/${name}">`).join("\n");
  const parts = [
    asset("page.css", "text/css; charset=utf-8", await text("page.css")),
    asset("reference.css", "text/css; charset=utf-8", await text("reference.css")),
    asset("icon.svg", "image/svg+xml", await text("icon.svg")),
    asset("lightweight-charts.js", SCRIPT, await chartLibrary()),
    ...modules,
  ];
  const page = (await text("index.html")).replace(MODULES, announced);
  return { page, reference: await text("reference.html"), parts };
}

const SCRIPT = "text/javascript; charset=utf-8";

async function moduleFiles(): Promise<string[]> {
  const names = await readdir(new URL("page/", HERE));
  return names.filter((name) => name.endsWith(".ts") && !/\.(test|d)\.ts$/.test(name)).sort();
}

/** Modules import each other by their file names, so they keep them. */
async function readModule(name: string): Promise<Asset> {
  const transpiler = new Bun.Transpiler({ loader: "ts", target: "browser" });
  return asset(name, SCRIPT, transpiler.transformSync(await text(`page/${name}`)));
}

/** The build that needs no other package; the package does not export it by name. */
function chartLibrary(): Promise<string> {
  const folder = dirname(Bun.resolveSync("lightweight-charts/package.json", import.meta.dir));
  return Bun.file(join(folder, "dist/lightweight-charts.standalone.production.mjs")).text();
}

function text(name: string): Promise<string> {
  return Bun.file(new URL(name, HERE)).text();
}

function asset(name: string, contentType: string, body: string): Asset {
  const hash = new Bun.CryptoHasher("sha256").update(body).digest("base64url").slice(0, 22);
  return { name, contentType, body, hash };
}
