/** The questions of `sluice init`, one after the other; what they come to are settings by dotted name. */
import { existsSync } from "node:fs";
import type { Config } from "../pipeline/config.ts";
import { describe } from "../pipeline/errors.ts";
import { parseEndpoint } from "../pipeline/source/endpoint.ts";
import { programsOf } from "./init-file.ts";
import { PRESETS } from "./presets.ts";

export interface Choice {
  readonly value: string;
  readonly label: string;
}

/** Somebody who answers; null from any of them means that they have had enough. */
export interface Asker {
  choose(question: string, choices: readonly Choice[]): Promise<string | null>;
  chooseSome(question: string, choices: readonly Choice[]): Promise<readonly string[] | null>;
  /** `wrong` says what is wrong with an answer; it is asked again then. */
  text(question: string, suggestion: string, wrong?: (answer: string) => string | undefined): Promise<string | null>;
  tell(what: string): void;
}

export interface WizardOptions {
  /** Names of a package's map modules, and the first block of each. Throws what `loadPackage` throws. */
  maps(location: string): Promise<readonly { readonly name: string; readonly initialBlock: number }[]>;
  readonly defaults: Config;
}

class Enough extends Error {}

/** Null when whoever is asked breaks off: then nothing is to be written. */
export async function askForSettings(asker: Asker, options: WizardOptions): Promise<Record<string, unknown> | null> {
  const settings: Record<string, unknown> = {};
  try {
    await askForSource(asker, options, settings);
    await askForPrograms(asker, settings);
    await askForPlaces(asker, options, settings);
    return settings;
  } catch (error) {
    if (error instanceof Enough) return null;
    throw error;
  }
}

function given<T>(answer: T | null): T {
  if (answer === null) throw new Enough();
  return answer;
}

async function askForSource(asker: Asker, { maps, defaults }: WizardOptions, settings: Record<string, unknown>) {
  const endpoint = await asker.text("Substreams endpoint (host:port)", defaults["source.endpoint"], (answer) => {
    try {
      parseEndpoint(answer);
      return undefined;
    } catch (error) {
      return describe(error);
    }
  });
  settings["source.endpoint"] = given(endpoint);
  const location = given(
    await asker.text(
      "Package: a .spkg file or an https URL (for programs by their address: solana-common of spkg.io)",
      "",
    ),
  );
  if (location === "") {
    asker.tell("No package: the built-in demo's is used, which only a demo endpoint serves. Set source.package later.");
    return;
  }
  settings["source.package"] = location;
  const known = await maps(location).catch((error) => {
    asker.tell(`The package cannot be read now: ${describe(error)}`);
    return [];
  });
  const module =
    known.length === 0
      ? given(await asker.text("Its output module", ""))
      : given(
          await asker.choose(
            "Its output module",
            known.map(({ name }) => ({ value: name, label: name })),
          ),
        );
  settings["source.module"] = module;
  const params = given(await asker.text("Params of the module, if any (module=value)", ""));
  if (params !== "") settings["source.params"] = params;
  const initial = known.find(({ name }) => name === module)?.initialBlock ?? 0;
  const start = await asker.text("First block (a slot, or -N from the head)", String(initial), (answer) =>
    /^[-+]?\d{1,16}$/.test(answer) ? undefined : "A slot is a whole number.",
  );
  settings["source.startBlock"] = given(start);
}

async function askForPrograms(asker: Asker, settings: Record<string, unknown>) {
  const presets = Object.entries(PRESETS).map(([value, { what }]) => ({ value, label: `${value}: ${what}` }));
  const chosen = given(await asker.chooseSome("Programs to decode (presets)", presets));
  const idls = given(
    await asker.text("Anchor IDLs to decode by (files or URLs, separated by commas; empty: none)", "", missingIdl),
  );
  const programs = programsOf(chosen, idls.split(","));
  if (programs.length > 0) settings["programs"] = programs;
}

function missingIdl(answer: string): string | undefined {
  const files = answer.split(",").map((idl) => idl.trim());
  const missing = files.find((file) => file !== "" && !file.startsWith("https://") && !existsSync(file));
  return missing === undefined ? undefined : `There is no file ${missing}.`;
}

async function askForPlaces(asker: Asker, { defaults }: WizardOptions, settings: Record<string, unknown>) {
  settings["data.dir"] = given(await asker.text("Folder for everything that this host keeps", defaults["data.dir"]));
  const nats = await asker.choose("NATS", [
    { value: "", label: "the embedded server, on this host" },
    { value: "url", label: "a server of your own (for several hosts)" },
  ]);
  if (given(nats) === "url") settings["nats.url"] = given(await asker.text("Its address", "nats://127.0.0.1:4222"));
  if (!("lake.url" in defaults)) return;
  const lake = given(await asker.text("Lake: s3://bucket/prefix, or empty for a folder of this host", ""));
  if (lake !== "") settings["lake.url"] = lake;
}
