/** `sluice upgrade`: a new version of a source's package beside the old one, until it has caught up; then it takes over. */
import { resolve } from "node:path";
import type { Command } from "commander";
import { type Config, sourceConfigs } from "../pipeline/config.ts";
import type { Control } from "../pipeline/control.ts";
import { Fatal } from "../pipeline/errors.ts";
import {
  activate,
  begin,
  drop,
  forget,
  type Generation,
  type GenerationSetting,
  type Generations,
  generationConfig,
  generationOf,
  ORIGINAL,
} from "../pipeline/generations.ts";
import { configureLogging } from "../pipeline/log.ts";
import { systemWorld } from "../pipeline/world.ts";
import { type CliContext, wholeNumber } from "./context.ts";
import { type Connection, connectBroker } from "./deployment.ts";
import { keepGenerations, readGenerations, settleGenerations } from "./generations.ts";
import { oneSource } from "./one-source.ts";
import { EXIT, paint, table, toJson } from "./output.ts";
import { stopWhenTold } from "./signals.ts";
import type { Comparison } from "./upgrade-compare.ts";

interface Options {
  readonly package?: string;
  readonly module?: string;
  readonly param?: readonly string[];
  readonly network?: string;
  readonly start?: string;
  readonly source?: string;
  readonly status?: boolean;
  readonly back?: boolean;
  readonly drop?: string;
  readonly yes?: boolean;
  readonly allowFewer?: boolean;
}

export function register(program: Command, context: CliContext): void {
  program
    .command("upgrade")
    .description("run a new package beside the old one, compare, and let it take over; or go back")
    .option("--package <location>", "the new package: a .spkg file or an https URL")
    .option("--module <name>", "its output module, where it has another name now")
    .option("--param <module=value>", "its params, may be repeated; without any, those of the settings", collect)
    .option("--network <name>", "its network")
    .option("--start <block>", "where it begins (default: setting source.startBlock)")
    .option("--source <name>", "which source, where there are several")
    .option("--yes", "do it: without this, nothing is swapped or dropped, only said what would be")
    .option("--allow-fewer", "swap although the new one has fewer rows of a dataset than the old one")
    .option("--status", "show the generations of the source")
    .option("--back", "make the generation active that was before")
    .option("--drop <n>", "remove the streams and stores of a generation that is not active")
    .addHelpText(
      "after",
      `
Examples:
  sluice upgrade --package ./new.spkg          begins, waits until it has caught up, compares; swaps nothing
  sluice upgrade --package ./new.spkg --yes    and then swaps
  sluice upgrade --back --yes                  the old one again
  sluice upgrade --drop 1 --yes                what is not needed any more

\`sluice stages\` must be running: it runs every generation. The new one has streams, hot stores and a lake of its own, and
its blocks are paid for once more. The API answers throughout, from the generation that is active; the one that is not stands still
after a swap, and goes on from where it stood when it is gone back to. An interrupted upgrade goes on when it is asked for again.`,
    )
    .action(async (options: Options, command: Command) => {
      const { config: loaded, json } = context.load(command);
      await configureLogging({ level: loaded["log.level"], format: loaded["log.format"] });
      const connection = await connectBroker(loaded, `sluice-upgrade-${process.pid}`);
      try {
        const upgrade = new Upgrade(loaded, oneSource(loaded, options.source), connection, context, json);
        context.setExitCode(await upgrade.run(options));
      } finally {
        await connection.close();
      }
    });
}

function collect(value: string, previous: readonly string[] = []): string[] {
  return [...previous, value];
}

/** Other processes, which stand elsewhere, must find it as well. */
function placeOf(location: string): string {
  return /^[a-z][a-z0-9+.-]*:\/\//i.test(location) ? location : resolve(location);
}

class Upgrade {
  private readonly loaded: Config;
  private readonly own: Config;
  private readonly connection: Connection;
  private readonly control: Control;
  private readonly io: CliContext;
  private readonly json: boolean;

  /** `own`: the source as the settings have it. */
  constructor(loaded: Config, own: Config, connection: Connection, io: CliContext, json: boolean) {
    this.loaded = loaded;
    this.own = own;
    this.connection = connection;
    this.control = connection.control;
    this.io = io;
    this.json = json;
  }

  async run(options: Options): Promise<number> {
    const wishes = [options.package, options.status, options.back, options.drop].filter((wish) => wish !== undefined);
    if (wishes.length !== 1) {
      throw new Fatal("USAGE", "one of --package, --status, --back and --drop is needed");
    }
    const yes = options.yes === true;
    if (options.status === true) return this.status();
    if (options.back === true) return this.back(yes);
    if (options.drop !== undefined) return this.drop(wholeNumber("--drop", options.drop, 1, 1_000_000), yes);
    return this.upgrade(options, yes);
  }

  private async generations(): Promise<Generations> {
    const all = await readGenerations(this.loaded, this.control);
    return all[this.own["source.name"]] ?? ORIGINAL;
  }

  /** Compare-and-set: others may upgrade as well. */
  private async change(change: (from: Generations) => Generations): Promise<Generations> {
    const after = await this.control.changeGenerations(this.own["source.name"], (known) => change(known ?? ORIGINAL));
    await keepGenerations(this.loaded, await readGenerations(this.loaded, this.control));
    return after;
  }

  private say(text: string): void {
    this.io.stderr.write(`${text}\n`);
  }

  private async status(): Promise<number> {
    const generations = await this.generations();
    const { list, leaving = [], active } = generations;
    const rows = await Promise.all(
      [...list, ...leaving].map(async (generation) => {
        const config = generationConfig(this.own, generation);
        const slot = (await this.laneSlot(config)) ?? null;
        const beside = list.includes(generation) ? "beside" : "being removed";
        const state = generation.number === active ? "active" : beside;
        return { number: generation.number, state, package: config["source.package"], slot };
      }),
    );
    if (this.json) this.io.stdout.write(`${toJson({ source: this.own["source.name"], generations: rows })}\n`);
    else {
      const columns = ["generation", "state", "package", "slot"].map((name) => ({ name }));
      const cells = rows.map((row) => [row.number, row.state, row.package || "built-in demo package", row.slot]);
      this.io.stdout.write(table(this.io.stdout, columns, cells));
    }
    return EXIT.ok;
  }

  private async upgrade(options: Options, yes: boolean): Promise<number> {
    const [{ compare }, { untilCaughtUp }] = await Promise.all([
      import("./upgrade-compare.ts"),
      import("./upgrade-wait.ts"),
    ]);
    const added = await this.begun(options);
    const from = await this.generations();
    if (added.number === from.active && yes) return this.swap(added.number);
    if (added.number === from.active) throw same(added, options.package);
    const [old, next] = [
      generationConfig(this.own, generationOf(from, from.active)),
      generationConfig(this.own, added),
    ];
    const stop = new AbortController();
    stopWhenTold(stop);
    const caughtUp = await untilCaughtUp({ old, next, control: this.control, io: this.io, signal: stop.signal });
    if (!caughtUp) {
      this.say(`generation ${added.number} goes on beside the active one; ask again to go on waiting`);
      return EXIT.retryLater;
    }
    const comparison = await compare(old, next);
    this.printComparison(comparison, from.active, added.number);
    if (comparison.fewer.length > 0 && options.allowFewer !== true) {
      this.say(`not swapped: fewer rows of ${comparison.fewer.join(", ")}; --allow-fewer swaps all the same`);
      return EXIT.failed;
    }
    if (yes) return this.swap(added.number);
    this.say(`not swapped yet: the same command with --yes makes generation ${added.number} the active one`);
    return EXIT.ok;
  }

  /** The generation of this package and these params: one that was begun before, or a new one. */
  private async begun(options: Options): Promise<Generation> {
    const { openModule } = await import("./source.ts");
    const given: [GenerationSetting, string | readonly string[] | undefined][] = [
      ["source.package", options.package === undefined ? undefined : placeOf(options.package)],
      ["source.module", options.module],
      ["source.params", options.param],
      ["source.network", options.network],
      ["source.startBlock", options.start],
    ];
    const settings = Object.fromEntries(given.filter(([, value]) => value !== undefined)) as Generation["settings"];
    const { hash } = await openModule({ ...this.own, ...settings } as Config);
    const from = await this.generations();
    const sameHash = (generation: Generation) => generation.moduleHash === hash;
    const known = from.list.find(sameHash);
    if (known !== undefined) return known;
    const active = generationOf(from, from.active);
    if ((await openModule(generationConfig(this.own, active))).hash === hash) throw same(active, options.package);
    const createdAt = systemWorld.now();
    const after = await this.change((now) =>
      now.list.some(sameHash) ? now : begin(now, { settings, moduleHash: hash, createdAt }).after,
    );
    const added = after.list.find(sameHash)!;
    this.say(`generation ${added.number} has begun, module hash ${hash}`);
    return added;
  }

  private printComparison({ datasets, slot }: Comparison, old: number, next: number): void {
    if (this.json) {
      this.io.stdout.write(`${toJson({ slot, old, new: next, datasets })}\n`);
      return;
    }
    const right = { align: "right" as const };
    const columns = [
      { name: `dataset, up to slot ${slot}` },
      { name: `generation ${old}`, ...right },
      { name: `generation ${next}`, ...right },
    ];
    const rows = datasets.map((d) => [d.dataset, d.old ?? "-", d.new ?? "-"]);
    this.io.stdout.write(table(this.io.stdout, columns, rows));
  }

  /** In this order: whoever is killed in between has swapped or not, and asks again, or leaves the rest to the stages. */
  private async swap(number: number): Promise<number> {
    const at = systemWorld.now();
    const from = await this.generations();
    const { "source.name": name } = generationConfig(this.own, generationOf(from, number));
    if (number !== from.active) await this.control.setDesired(name, { running: true, at });
    await this.change((now) => activate(now, number, at));
    await settleGenerations(this.loaded, await readGenerations(this.loaded, this.control), this.control);
    this.say(paint(this.io.stderr, "green", `generation ${number} is active; sluice upgrade --back undoes it`));
    return EXIT.ok;
  }

  private async back(yes: boolean): Promise<number> {
    const from = await this.generations();
    if (from.previous === null) {
      throw new Fatal("GENERATION_UNKNOWN", "there is no generation to go back to", {
        hint: "See sluice upgrade --status.",
      });
    }
    const slotOf = (number: number) => this.laneSlot(generationConfig(this.own, generationOf(from, number)));
    const [then, now] = [await slotOf(from.previous), await slotOf(from.active)];
    if (then !== null && now !== null && then < now) {
      this.say(
        `generation ${from.previous} stands ${now - then} slots behind; it goes on from there, and is read meanwhile`,
      );
    }
    if (yes) return this.swap(from.previous);
    this.say(`generation ${from.previous} would become active; --yes does it`);
    return EXIT.ok;
  }

  private async drop(number: number, yes: boolean): Promise<number> {
    const { removeGeneration, partsOf } = await import("./upgrade-drop.ts");
    const from = await this.generations();
    drop(from, number);
    const config = generationConfig(this.own, generationOf(from, number, true));
    const parts = partsOf(config, number === 1 && sourceConfigs(this.loaded).length > 1);
    for (const part of [...parts.streams, ...parts.paths]) this.say(`${yes ? "removing" : "would remove"} ${part}`);
    if (parts.kept !== null) this.say(`not removed: ${parts.kept}`);
    if (!yes) {
      this.say("nothing was removed; --yes does it");
      return EXIT.ok;
    }
    // First nobody runs it any more, then it goes; it is forgotten when all of it has gone.
    await this.change((now) => drop(now, number));
    await removeGeneration(config, parts, this.connection);
    await this.change((now) => forget(now, number));
    return EXIT.ok;
  }

  private async laneSlot(config: Config): Promise<number | null> {
    const { laneSlot } = await import("./upgrade-wait.ts");
    return laneSlot(config, this.control);
  }
}

function same({ number, moduleHash }: Generation, location: string | undefined): Fatal {
  const hash = moduleHash === "" ? "" : `, hash ${moduleHash}`;
  return new Fatal("UPGRADE_SAME", `generation ${number} has the same module${hash}, and is active`, {
    where: location ?? "",
    hint: "Code, inputs and params are the same, so the output would be as well: there is nothing to upgrade.",
  });
}
