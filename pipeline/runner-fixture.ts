/** An input that is scripted link by link, an output that writes down what it is told, and a run of the runner between them. */
import type { Stage } from "../stages/stage.ts";
import type { Head, Sink, Step } from "../storage/sink.ts";
import type { Link } from "./chain.ts";
import { Poison, Shutdown } from "./errors.ts";
import { newUnitMetrics } from "./metrics.ts";
import type { BlockMeta, BlockRef, Position } from "./position.ts";
import type { Incoming, Reader, Seek } from "./reader.ts";
import { type Quarantined, type RunnerOptions, run } from "./runner.ts";
import { systemWorld } from "./world.ts";

/** A batch of named blocks; a name with "!" is poison. */
export type Body = readonly string[];

export const ref = (name: string): BlockRef => ({ slot: Number.parseInt(name, 10), hash: name });
export const at = (name: string): Position => ({ ...ref(name), cursor: `cursor ${name}`, moduleHash: "module" });

interface Scripted {
  readonly link: Link;
  readonly damaged?: boolean;
  readonly seq?: number;
}

export function data(prev: string | null, names: string, finalSlot = 0): Scripted {
  const blocks = names.split(" ").map(ref);
  const next = at(blocks.at(-1)!.hash);
  return { link: { kind: "data", prev: prev === null ? null : at(prev), next, finalSlot, blocks, time: 7 } };
}

export function undo(prev: string, to: string): Scripted {
  return { link: { kind: "undo", prev: at(prev), next: at(to), finalSlot: 0, blocks: [], time: 0 } };
}

export function end(name: string): Scripted {
  return { link: { kind: "end", prev: at(name), next: at(name), finalSlot: 0, blocks: [], time: 0 } };
}

/** Serves what is stored, from the hint on or from the first; then waits for the end. */
export class ScriptedReader implements Reader<Body> {
  readonly name = "input";
  readonly seeks: Seek[] = [];
  private readonly stored: readonly Scripted[];
  private readonly afterwards: "wait" | "end" | Error;

  constructor(stored: readonly Scripted[], afterwards: "wait" | "end" | Error = "wait") {
    this.stored = stored.map((s, i) => ({ seq: i + 1, ...s }));
    this.afterwards = afterwards;
  }

  async *read(head: Head | null, seek: Seek, signal: AbortSignal): AsyncGenerator<Incoming<Body>> {
    this.seeks.push(seek);
    const after = seek === "oldest" ? 0 : (head?.inputSeq ?? 0);
    for (const stored of this.stored.filter((s) => s.seq! > after))
      yield incoming(stored, stored === this.stored.at(-1));
    if (this.afterwards instanceof Error) throw this.afterwards;
    if (this.afterwards === "wait") await new Promise((resolve) => signal.addEventListener("abort", resolve));
  }
}

function incoming({ link, damaged = false, seq = 0 }: Scripted, newest: boolean): Incoming<Body> {
  const { prev, next, finalSlot } = link;
  return {
    link,
    seq,
    newest,
    bytes: 10,
    signal() {
      if (damaged) throw new Poison("WIRE_CHECKSUM", "does not match");
      if (link.kind !== "data") return { kind: link.kind, prev, next, finalSlot };
      return { kind: "data", prev, next, finalSlot, body: link.blocks.map((b) => b.hash) };
    },
    raw: () => Buffer.from(link.blocks.map((b) => b.hash).join(" ")),
  };
}

const codec = {
  blocks: (body: Body): BlockMeta[] =>
    body.map((name) => ({ ...ref(name), cursor: `cursor ${name}`, time: 0, finalSlot: 0 })),
  above: (body: Body, slot: number): Body => body.filter((name) => ref(name).slot > slot),
  empty: (body: Body): Body => body.map((name) => name.replace("!", " emptied")),
};

export class Notes implements Sink<Body> {
  readonly name = "output";
  readonly told: string[] = [];
  readonly steps: Step[] = [];
  head: Head | null = null;
  closed = false;
  /** Where a commit leaves the output, if not at its end. */
  stands: ((step: Step, out: Body) => Position) | null = null;
  failure: Error | null = null;

  async open(): Promise<Head | null> {
    return this.head;
  }

  async commit(step: Step, out: Body): Promise<Position> {
    if (this.failure !== null) throw this.failure;
    this.note(step, `${step.prev?.hash ?? "-"} + ${out.join(" ")}`);
    return this.stands?.(step, out) ?? step.next;
  }

  async rollback(step: Step): Promise<void> {
    this.note(step, `${step.prev?.hash ?? "-"} back to ${step.next.hash}`);
  }

  async end(step: Step): Promise<void> {
    this.note(step, `end at ${step.next.hash}`);
  }

  async close(): Promise<void> {
    this.closed = true;
  }

  private note(step: Step, text: string): void {
    this.steps.push(step);
    this.told.push(text);
  }
}

const pass: Stage<Body, Body> = {
  name: "pass",
  apply(batch) {
    const bad = batch.find((name) => name.includes("!"));
    if (bad !== undefined) throw new Poison("BAD", `${bad} is bad`);
    return batch;
  },
};

export function standingAt(names: string, inputSeq = 0, finalSlot = 0): Head {
  const recent = names.split(" ").map(ref);
  return { position: at(recent.at(-1)!.hash), finalSlot, recent, inputSeq };
}

interface Ran {
  readonly error: unknown;
  readonly quarantined: Quarantined[];
  readonly standings: { at: string | undefined; inputSeq: number }[];
  readonly metrics: ReturnType<typeof newUnitMetrics>;
  readonly ended: boolean;
}

/** Runs until it throws, or until everything stored was read and nothing happens any more. */
export async function running(
  reader: Reader<Body>,
  sink: Sink<Body>,
  more: Partial<RunnerOptions<Body, Body>> = {},
): Promise<Ran> {
  const stop = new AbortController();
  const quarantined: Quarantined[] = [];
  const standings: Ran["standings"] = [];
  const metrics = newUnitMetrics();
  let ended = false;
  const done = run(
    {
      ...{ unit: "unit", reader, stage: pass, sink, codec, world: systemWorld, metrics, log: () => undefined },
      quarantine: async (item) => void quarantined.push(item),
      onStanding: ({ position, inputSeq }) => standings.push({ at: position?.hash, inputSeq }),
      onEnd: () => {
        ended = true;
      },
      ...more,
    },
    stop.signal,
  ).then(
    () => null,
    (error: unknown) => error,
  );
  // Everything here is promises in memory: one turn of the event loop is enough for all of it.
  const idle = new Promise<null>((resolve) => setTimeout(() => resolve(null), 5));
  const error = await Promise.race([done, idle]);
  stop.abort(new Shutdown());
  await done;
  return { error, quarantined, standings, metrics, ended };
}
