/**
 * Goal: what is shipped to run Sluice (image, compose file, unit, dashboards, alarms) fits the program as it is. Method: the
 * files are parsed: images are pinned, ports are on loopback, every path and command exists, the image has every file that the
 * program loads and no test, and every expression, read by Prometheus' own grammar, names metrics that the API exports.
 */
import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { builtinModules } from "node:module";
import { join } from "node:path";
import { parser } from "@prometheus-io/lezer-promql";
import { FakeBackend } from "../api/fixture.ts";
import { allRoutes } from "../api/routes/index.ts";
import { loadConfig, SETTING_VARIABLES } from "../pipeline/config.ts";
import { exportedMetrics } from "./exported-metrics.ts";

const ROOT = join(import.meta.dir, "..");
const read = (file: string) => readFileSync(join(ROOT, file), "utf8");
const yaml = <T>(file: string) => Bun.YAML.parse(read(file)) as T;

interface Service {
  readonly image?: string;
  readonly build?: string;
  readonly command?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly env_file?: readonly { readonly path: string; readonly required: boolean }[];
  readonly ports?: readonly string[];
  readonly volumes?: readonly string[];
  readonly healthcheck?: { readonly test: readonly string[] };
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
  readonly read_only?: boolean;
  readonly user?: string;
  readonly cap_drop?: readonly string[];
  readonly security_opt?: readonly string[];
  readonly restart?: string;
  readonly mem_limit?: string;
  readonly cpus?: number;
}
interface Compose {
  readonly services: Readonly<Record<string, Service>>;
  readonly volumes: Readonly<Record<string, unknown>>;
}

const compose = yaml<Compose>("compose.yaml");
const services = Object.entries(compose.services);
const ours = services.filter(([, service]) => service.build !== undefined);
const packageJson = JSON.parse(read("package.json")) as {
  packageManager: string;
  version: string;
  dependencies: Record<string, string>;
  optionalDependencies: Record<string, string>;
};

describe("compose.yaml", () => {
  test.each(services)("%s: pinned, confined, limited, looked after", (_name, service) => {
    expect(service.image).toMatch(/^[a-z0-9./-]+:v?\d+\.\d+\.\d+(-[a-z]+)?$/);
    expect(service.cap_drop).toEqual(["ALL"]);
    expect(service.security_opt).toEqual(["no-new-privileges:true"]);
    expect(service.restart).toBe("unless-stopped");
    expect([service.mem_limit, service.cpus]).toEqual(["512m", 1]);
    expect(service.healthcheck?.test[0]).toBe("CMD");
    for (const port of service.ports ?? []) expect(port).toMatch(/^127\.0\.0\.1:\d+:\d+$/);
    for (const [other, { condition }] of Object.entries(service.depends_on ?? {})) {
      expect(compose.services).toHaveProperty(other);
      expect(condition).toBe("service_healthy");
    }
    for (const volume of service.volumes ?? []) {
      const [from] = volume.split(":");
      if (from!.startsWith(".")) expect(existsSync(join(ROOT, from!))).toBe(true);
      else expect(compose.volumes).toHaveProperty(from!);
      if (from!.startsWith(".")) expect(volume).toEndWith(":ro");
    }
  });

  test.each(ours)("%s: without rights, on a root that cannot be written", (_name, service) => {
    expect([service.read_only, service.user]).toEqual([true, "1000:1000"]);
    expect(service.image).toBe(`sluice:${packageJson.version}`);
    expect(service.env_file).toEqual([{ path: ".env.substreams", required: false }]);
    for (const name of Object.keys(service.environment ?? {})) expect(SETTING_VARIABLES).toContain(name);
    expect(() =>
      loadConfig({ env: service.environment ?? {}, file: join(ROOT, "deploy/config/sluice.yaml") }),
    ).not.toThrow();
  });

  test("the example of the environment names settings, and holds no secret", () => {
    const lines = read("deploy/env.substreams.example").split("\n");
    const set = lines.filter((line) => /^#?[A-Z]/.test(line)).map((line) => line.replace(/^#/, "").split("="));
    expect(set.length).toBeGreaterThan(8);
    // The S3 client finds its credentials by itself.
    const known = new Set([...SETTING_VARIABLES, "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]);
    for (const [name, value] of set) {
      expect(known).toContain(name!);
      if (/KEY|TOKEN|SECRET/.test(name!)) expect(value).toBe("");
    }
  });
});

describe("Dockerfile", () => {
  const text = read("Dockerfile");
  const copied = [...text.matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap((m) => m[1]!.split(" "));
  const last = text.slice(text.lastIndexOf("\nFROM "));

  test("the Bun of the project, no rights, nothing to install in the last stage", () => {
    const images = [...text.matchAll(/^FROM (\S+)/gm)].map((m) => m[1]!);
    const version = packageJson.packageManager.replace("@", ":");
    for (const image of images) expect(image).toMatch(new RegExp(`^oven/${version}-(debian|slim)$`));
    expect(last).toMatch(/^USER 1000:1000$/m);
    expect(last).not.toMatch(/apt-get|bun install|curl|ADD /);
  });

  test("has every file that the program loads", () => {
    const sources = ["main.ts", ...new Bun.Glob("{api,cli,pipeline,simulator,stages,storage}/**/*.ts").scanSync(ROOT)];
    const product = sources.filter((file) => !/\.(test|conformance)\.ts$|(fixture|testing)/.test(file));
    const needed = product.flatMap((file) => {
      const found = [...read(file).matchAll(/(?:from|import\()\s*"(\.{1,2}\/[^"]+)"/g)];
      return found.map((m) => join(file, "..", m[1]!));
    });
    const isCopied = (file: string) => copied.some((from) => file === from || file.startsWith(`${from}/`));
    expect([...new Set(needed)].filter((file) => !isCopied(file))).toEqual([]);
    for (const file of ["package.json", "docs/errors.md", "api/dashboard/status.html"])
      expect(isCopied(file)).toBe(true);
    const ignored = read(".dockerignore").split("\n");
    for (const from of copied) if (from !== "docs/errors.md") expect(ignored).toContain(`!${from}`);
    expect(ignored).toContain("**/*.test.ts");
  });

  test("every package that the program imports is installed without the development ones", () => {
    const sources = ["main.ts", ...new Bun.Glob("{api,cli,pipeline,simulator,stages,storage}/**/*.ts").scanSync(ROOT)];
    const product = sources.filter((file) => !/\.(test|conformance)\.ts$|(fixture|testing)/.test(file));
    const imported = product.flatMap((file) =>
      [...read(file).matchAll(/(?:\bfrom|\bimport\()\s*"([@\w][\w./@-]*)"/g)].map((m) => ({ file, name: m[1]! })),
    );
    const foreign = imported.filter(
      ({ name }) => !name.startsWith("node:") && !name.startsWith("bun") && !builtinModules.includes(name),
    );
    const packageOf = (name: string) =>
      name
        .split("/")
        .slice(0, name.startsWith("@") ? 2 : 1)
        .join("/");
    const missing = foreign.filter(({ name }) => !(packageOf(name) in packageJson.dependencies));
    expect(foreign.length).toBeGreaterThan(20);
    expect(missing).toEqual([]);
  });
});

interface Panel {
  readonly type: string;
  readonly title: string;
  readonly description?: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly fieldConfig?: { readonly defaults: { readonly unit?: string } };
  readonly targets?: readonly { readonly expr: string; readonly datasource: { readonly uid: string } }[];
}
const board = JSON.parse(read("deploy/grafana/dashboards/sluice.json")) as {
  readonly uid: string;
  readonly panels: readonly Panel[];
  readonly templating: { readonly list: readonly { readonly name: string; readonly definition?: string }[] };
};
const alerts = yaml<{ groups: { rules: { alert: string; expr: string; annotations: Record<string, string> }[] }[] }>(
  "deploy/prometheus/alerts.yml",
).groups.flatMap((group) => group.rules);

const exported = async () => (await exportedMetrics()).series;

/** Names and labels of the metrics of an expression. Throws when Prometheus would not understand it. */
function metricsOf(expression: string): string[] {
  const text = expression.replaceAll("$__rate_interval", "1m").replaceAll("$source", "x");
  const found: string[] = [];
  parser.parse(text).iterate({
    enter(node) {
      if (node.type.isError) throw new Error(`not PromQL at ${node.from}: ${expression}`);
      const first = node.name === "VectorSelector" ? node.node.getChild("Identifier") : null;
      if (first !== null) found.push(text.slice(first.from, first.to));
    },
  });
  return found;
}

describe("dashboard and alarms", () => {
  const panels = board.panels.filter((panel) => panel.type !== "row");

  test("expressions are read as Prometheus reads them", () => {
    expect(metricsOf('sum by (a) (rate(x_total{b="c"}[5m])) / on() y')).toEqual(["x_total", "y"]);
    expect(() => metricsOf("sum(rate(x[5m])")).toThrow("not PromQL");
  });

  test("every expression of the board names metrics that are exported", async () => {
    const known = await exported();
    const used = panels.flatMap((panel) => panel.targets!.flatMap(({ expr }) => metricsOf(expr)));
    expect(used.length).toBeGreaterThan(40);
    expect(used.filter((name) => !known.has(name))).toEqual([]);
    const variable = board.templating.list.find(({ name }) => name === "source")!.definition!;
    expect(known).toContain(/^label_values\((\w+), source\)$/.exec(variable)![1]!);
  });

  test("so does every alarm, and each says what to do", async () => {
    const known = await exported();
    for (const { alert, expr, annotations } of alerts) {
      expect(annotations["summary"] !== undefined && annotations["action"] !== undefined).toBe(true);
      const names = metricsOf(expr);
      expect({ alert, unknown: names.filter((name) => name !== "up" && !known.has(name)) }).toEqual({
        alert,
        unknown: [],
      });
    }
  });

  test("every panel says what it shows, in which unit, from the chosen source, beside the others", () => {
    for (const panel of panels) {
      expect(panel.description?.length ?? 0).toBeGreaterThan(10);
      expect(panel.fieldConfig?.defaults.unit).toBeString();
      for (const target of panel.targets!) expect(target.datasource.uid).toMatch(/^\$\{datasource\}$/);
    }
    const cells = panels.flatMap(({ title, gridPos: { x, y, w, h } }) =>
      Array.from({ length: w * h }, (_, i) => ({ title, cell: `${x + (i % w)},${y + Math.floor(i / w)}` })),
    );
    const taken = cells.filter(({ cell }, i) => cells.findIndex((other) => other.cell === cell) !== i);
    expect(taken).toEqual([]);
    expect(panels.every(({ gridPos }) => gridPos.x + gridPos.w <= 24)).toBe(true);
  });

  test("Prometheus scrapes a route of the API where it listens; Grafana finds source and board where they are mounted", async () => {
    type Scrape = { metrics_path: string; static_configs: { targets: string[] }[] };
    const [scrape] = yaml<{ scrape_configs: Scrape[] }>("deploy/prometheus/prometheus.yml").scrape_configs;
    const paths = (await allRoutes({ backend: new FakeBackend(), version: "0" })).map((route) => route.path);
    expect(paths).toContain(scrape!.metrics_path);
    const { "api.port": port } = loadConfig({ env: compose.services["api"]!.environment ?? {} }).values;
    expect(scrape!.static_configs[0]!.targets).toEqual([`api:${port}`]);
    const grafana = compose.services["grafana"]!;
    const mounted = grafana.volumes!.map((volume) => volume.split(":")[1]);
    const { providers } = yaml<{ providers: { options: { path: string } }[] }>(
      "deploy/grafana/provisioning/dashboards/sluice.yaml",
    );
    expect(mounted).toContain(providers[0]!.options.path);
    const { datasources } = yaml<{ datasources: { url: string }[] }>(
      "deploy/grafana/provisioning/datasources/prometheus.yaml",
    );
    const host = new URL(datasources[0]!.url);
    expect(compose.services[host.hostname]!.ports).toEqual([`127.0.0.1:${host.port}:${host.port}`]);
  });
});

test("the systemd unit runs the program, without rights, with the limits of the container", () => {
  const text = read("deploy/systemd/sluice@.service");
  const value = (name: string) => new RegExp(`^${name}=(.*)$`, "m").exec(text)?.[1];
  expect(value("ExecStart")).toBe("/usr/local/bin/bun --smol /opt/sluice/main.ts %i");
  expect([value("User"), value("NoNewPrivileges"), value("ProtectSystem")]).toEqual(["sluice", "true", "strict"]);
  expect([value("MemoryMax"), value("CPUQuota"), value("Restart")]).toEqual(["512M", "100%", "always"]);
  const variables = value("Environment")!
    .split(" ")
    .map((pair) => pair.split("=")[0]!);
  expect(variables.filter((name) => name.startsWith("SLUICE_")).every((name) => SETTING_VARIABLES.has(name))).toBe(
    true,
  );
});
