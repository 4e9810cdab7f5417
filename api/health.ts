/**
 * One health model: checks, each with what was seen and since when. `/health`, `/ready` and `/api/indexer/health` are views
 * of it. Ready means that what is read here is current: connected, close to the head, every lane running and durable.
 */
import { classify } from "../pipeline/errors.ts";
import type { World } from "../pipeline/world.ts";
import type { Backend } from "./backend.ts";
import { alarmsOf, decodersOf } from "./decoder-details.ts";
import { shippingOf, sourceStatusOf } from "./details.ts";
import type { LakeCheck } from "./lake-check.ts";
import { SECONDS_PER_SLOT, type View, viewOf } from "./view.ts";

export interface Finding {
  readonly name: CheckName;
  readonly ok: boolean;
  readonly detail: string;
}

export interface Check extends Finding {
  /** Since when it is (or is not) ok, as seen by this process; ms since the Unix epoch. */
  readonly since: number;
}

export type Status = "healthy" | "degraded" | "unhealthy";

export type CheckName =
  | "broker"
  | "stages"
  | "units"
  | "source"
  | "lanes"
  | "positions"
  | "streams"
  | "lag"
  | "decoders"
  | "lake";

/** Without these, nothing moves. */
const VITAL: ReadonlySet<CheckName> = new Set(["broker", "stages", "units"]);
/** What readers of the API need to be true. */
const NEEDED: ReadonlySet<CheckName> = new Set(["broker", "stages", "source", "lanes", "positions", "streams", "lag"]);

/** Fewer blocks behind than this is current. */
export const LAG_BLOCKS_MAX = 100;

/** Names of the units that must run. */
interface Expected {
  readonly laneUnits: readonly string[];
}

/** `view` null: the broker did not answer, `problem` says how. */
export function findingsOf(view: View | null, expected: Expected, problem = ""): Finding[] {
  if (view === null) return [finding("broker", false, problem)];
  return [
    finding("broker", true, "answers"),
    stages(view),
    units(view),
    source(view),
    lanes(view, expected),
    positions(view, expected),
    streams(view),
    lag(view),
    decoders(view),
    lake(view),
  ];
}

export function statusOf(findings: readonly Finding[]): Status {
  const failing = findings.filter((f) => !f.ok);
  if (failing.some((f) => VITAL.has(f.name))) return "unhealthy";
  return failing.length > 0 ? "degraded" : "healthy";
}

/** Why this is not ready; empty when it is. */
export function reasonsNotReady(findings: readonly Finding[]): string[] {
  return findings.filter((f) => !f.ok && NEEDED.has(f.name)).map((f) => `${f.name}: ${f.detail}`);
}

export interface Health {
  readonly at: number;
  /** One for each source; empty when the broker did not answer. */
  readonly views: readonly View[];
  readonly status: Status;
  readonly checks: readonly Check[];
}

/** What is found of each source, as one list: a check holds when it holds for all of them, and says for which it does not. */
export function together(sources: readonly { readonly source: string; readonly findings: readonly Finding[] }[]): {
  readonly status: Status;
  readonly findings: readonly Finding[];
} {
  const [first] = sources;
  if (first === undefined || sources.length === 1) {
    return { status: statusOf(first?.findings ?? []), findings: first?.findings ?? [] };
  }
  const names = new Set(sources.flatMap(({ findings }) => findings.map((f) => f.name)));
  const findings = [...names].map((name) => {
    const all = sources.flatMap(({ source, findings: own }) =>
      own.filter((f) => f.name === name).map((f) => ({ ...f, detail: `${source}: ${f.detail}` })),
    );
    const failing = all.filter((f) => !f.ok);
    return finding(name, failing.length === 0, (failing.length === 0 ? all : failing).map((f) => f.detail).join("; "));
  });
  const states = sources.map(({ findings: own }) => statusOf(own));
  // While one source moves, the deployment is not down.
  if (states.every((state) => state === "unhealthy")) return { status: "unhealthy", findings };
  return { status: states.every((state) => state === "healthy") ? "healthy" : "degraded", findings };
}

/** Looks, judges, and remembers since when each check has been as it is. Never throws: silence is a finding. */
export class HealthReader {
  private readonly backends: readonly Backend[];
  private readonly world: Pick<World, "now">;
  private readonly lake: Pick<LakeCheck, "damage"> | null;
  private readonly last = new Map<CheckName, { readonly ok: boolean; readonly since: number }>();

  /** `backends`: one for each source; `lake`: that of the first, where it can be read from here. */
  constructor(backends: readonly Backend[], world: Pick<World, "now">, lake: Pick<LakeCheck, "damage"> | null = null) {
    this.backends = backends;
    this.lake = lake;
    this.world = world;
  }

  async read(): Promise<Health> {
    const damage = (await this.lake?.damage()) ?? null;
    const looks = await Promise.all(this.backends.map((own, i) => this.look(own, i === 0 ? damage : null)));
    const at = this.world.now();
    const { status, findings } = together(looks);
    const views = looks.flatMap(({ view }) => (view === null ? [] : [view]));
    return { at, views, status, checks: findings.map((found) => this.remember(found, at)) };
  }

  private async look(
    backend: Backend,
    damage: string | null,
  ): Promise<{ source: string; view: View | null; findings: Finding[] }> {
    const { source } = backend;
    try {
      const view = viewOf(await backend.snapshot(), backend);
      return { source, view, findings: withDamage(findingsOf(view, backend), damage) };
    } catch (error) {
      const { code } = classify(error);
      return { source, view: null, findings: findingsOf(null, backend, `does not answer (${code})`) };
    }
  }

  private remember(found: Finding, at: number): Check {
    const known = this.last.get(found.name);
    const since = known !== undefined && known.ok === found.ok ? known.since : at;
    this.last.set(found.name, { ok: found.ok, since });
    return { ...found, since };
  }
}

/** A damaged lake is worse than one that commits wait for. */
function withDamage(findings: Finding[], damage: string | null): Finding[] {
  if (damage === null) return findings;
  return findings.map((found) => (found.name === "lake" ? finding("lake", false, damage) : found));
}

function finding(name: CheckName, ok: boolean, detail: string): Finding {
  return { name, ok, detail };
}

function stages(view: View): Finding {
  const nodes = new Set(view.units.map((u) => u.node));
  if (nodes.size === 0) return finding("stages", false, `no live process runs stages of ${view.source}`);
  return finding("stages", true, `${nodes.size} live ${nodes.size === 1 ? "process" : "processes"}`);
}

function units(view: View): Finding {
  const failed = view.units.filter((u) => u.state === "failed");
  const retrying = view.units.filter((u) => u.state === "backing-off");
  if (failed.length > 0)
    return finding("units", false, failed.map((u) => `${u.unit} has failed${codeOf(u)}`).join("; "));
  const detail = retrying.map((u) => `${u.unit} is trying again${codeOf(u)}`).join("; ");
  return finding("units", true, detail === "" ? `${view.units.length} units` : detail);
}

function source(view: View): Finding {
  const { ingest } = view;
  if (!view.wanted) return finding("source", false, "stopped on request");
  if (ingest === null) return finding("source", false, "no live process offers ingest");
  if (ingest.state !== "running") return finding("source", false, `ingest is ${ingest.state}${codeOf(ingest)}`);
  if (ingest.ended) return finding("source", true, "the range is complete");
  const status = sourceStatusOf(ingest.details);
  if (status?.state !== undefined && !status.connected) {
    return finding("source", false, status.lastError === null ? status.state : `${status.state}: ${status.lastError}`);
  }
  return finding("source", true, status?.state ?? "ingest is running");
}

/** Nothing of it is lost while files wait: what is read here is current all the same. */
function lake(view: View): Finding {
  const shipping = view.units.flatMap((u) => (u.stage === "archive" ? (shippingOf(u.details) ?? []) : []));
  const waiting = shipping.reduce((sum, s) => sum + s.waiting, 0);
  const failing = shipping.find((s) => s.failure !== null);
  if (failing === undefined)
    return finding("lake", true, waiting === 0 ? "nothing waits" : `${waiting} commits on their way`);
  return finding(
    "lake",
    false,
    `nothing reaches the bucket (${failing.failure!.code}); ${waiting} commits wait on their host`,
  );
}

function lanes(view: View, { laneUnits }: Expected): Finding {
  const running = new Set(view.lanes.filter((u) => u.state === "running").map((u) => u.unit));
  const missing = laneUnits.filter((lane) => !running.has(lane));
  if (missing.length === 0) return finding("lanes", true, `${laneUnits.length} of ${laneUnits.length} running`);
  return finding("lanes", false, `not running: ${missing.join(", ")}`);
}

function positions(view: View, { laneUnits }: Expected): Finding {
  const stored = new Set(view.units.filter((u) => u.metrics.position !== null).map((u) => u.unit));
  const empty = [...(view.ingest === null ? [] : [view.ingest.unit]), ...laneUnits].filter((u) => !stored.has(u));
  if (empty.length === 0) return finding("positions", true, `all at or after slot ${view.lastBlock}`);
  return finding("positions", false, `nothing stored yet: ${empty.join(", ")}`);
}

function streams(view: View): Finding {
  const blocked = view.units.filter((u) => u.blocked).map((u) => u.unit);
  if (blocked.length === 0) return finding("streams", true, "no stream is full");
  return finding("streams", false, `waiting for room in a full stream: ${blocked.join(", ")}`);
}

/**
 * Slots between the chain's head (by block time) and what every lane holds; 0 once a bounded range is complete. Null: nothing
 * has come yet; infinite: a lane holds nothing yet.
 */
export function blocksBehind({ ingest, lanes }: View): number | null {
  const behindHead = ingest?.ended === true ? 0 : (ingest?.lag.headBlocks ?? null);
  if (behindHead === null) return null;
  return behindHead + lanes.reduce((max, u) => Math.max(max, u.lag.blocks ?? Number.POSITIVE_INFINITY), 0);
}

function lag(view: View): Finding {
  const blocks = blocksBehind(view);
  if (blocks === null) return finding("lag", false, "no block has come yet, so the distance to the head is unknown");
  if (!Number.isFinite(blocks)) return finding("lag", false, "a lane holds nothing yet");
  const detail = `${blocks} blocks (about ${Math.round(blocks * SECONDS_PER_SLOT)} s) behind the head`;
  return finding(
    "lag",
    blocks < LAG_BLOCKS_MAX,
    blocks < LAG_BLOCKS_MAX ? detail : `${detail}, limit ${LAG_BLOCKS_MAX}`,
  );
}

/** A decoder that a program's upgrade has overtaken sees payloads and cannot read them. */
function decoders(view: View): Finding {
  const decode = view.units.filter((u) => u.stage === "decode");
  const alarms = decode.flatMap((u) => alarmsOf(u.details));
  if (alarms.length === 0) {
    const count = decode.flatMap((u) => decodersOf(u.details)).length;
    return finding("decoders", true, `${count} program${count === 1 ? "" : "s"}`);
  }
  const texts = alarms.map(({ kind, program, dataset, slot, detail }) => {
    const what = dataset === null ? program : `${program}, ${dataset}`;
    return `${what}: ${kind.replace("_", " ")} since slot ${slot} (${detail})`;
  });
  return finding("decoders", false, texts.join("; "));
}

function codeOf(unit: { readonly errors: readonly { readonly code: string }[] }): string {
  const code = unit.errors.at(-1)?.code;
  return code === undefined ? "" : ` (${code})`;
}
