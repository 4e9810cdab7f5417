/**
 * Goal: generations are begun, swapped, gone back to and dropped without ever losing the one that is read, and none shares
 * a stream, a store or a lake with another. Method: the steps by hand, and any sequence of them.
 */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { loadConfig } from "./config.ts";
import { classify } from "./errors.ts";
import {
  activate,
  begin,
  drop,
  forget,
  type Generations,
  generationConfig,
  generationOf,
  ORIGINAL,
} from "./generations.ts";
import { names } from "./names.ts";

const NEW = { settings: { "source.package": "/new.spkg" }, moduleHash: "ab", createdAt: 5 } as const;
const codeOf = (action: () => unknown): string | null => {
  try {
    action();
  } catch (error) {
    return classify(error).code;
  }
  return null;
};

test("begun beside, swapped, gone back to, dropped", () => {
  const { after, added } = begin(ORIGINAL, NEW);
  expect([added.number, after.active, after.list.length]).toEqual([2, 1, 2]);
  const swapped = activate(after, 2, 9);
  expect([swapped.active, swapped.previous]).toEqual([2, 1]);
  expect(activate(swapped, 1, 9)).toMatchObject({ active: 1, previous: 2 });
  expect(activate(swapped, 2, 9)).toBe(swapped);
  expect(codeOf(() => drop(swapped, 2))).toBe("GENERATION_ACTIVE");
  expect(codeOf(() => activate(swapped, 3, 9))).toBe("GENERATION_UNKNOWN");
  const alone = drop(swapped, 1);
  expect(alone).toMatchObject({ active: 2, previous: null, list: [{ number: 2 }] });
  expect(begin(alone, NEW).added.number).toBe(3);
  expect(alone.leaving).toMatchObject([{ number: 1 }]);
  expect(drop(alone, 1)).toBe(alone);
  expect(forget(alone, 1)).toMatchObject({ leaving: [], list: [{ number: 2 }] });
});

test("whatever is done, the active one is there, and numbers stand for one generation each", () => {
  const step = fc.tuple(fc.constantFrom("begin", "activate", "drop", "forget"), fc.integer({ min: 1, max: 6 }));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      let now: Generations = ORIGINAL;
      const used = new Set([1]);
      for (const [what, number] of steps) {
        try {
          if (what === "begin") {
            const { after, added } = begin(now, NEW);
            expect(used.has(added.number)).toBe(false);
            used.add(added.number);
            now = after;
          } else if (what === "forget") now = forget(now, number);
          else now = what === "activate" ? activate(now, number, 9) : drop(now, number);
        } catch (error) {
          expect(classify(error).code).toMatch(/^GENERATION_/);
        }
        expect(generationOf(now, now.active).number).toBe(now.active);
        if (now.previous !== null) generationOf(now, now.previous);
        expect(new Set(now.list.map((generation) => generation.number)).size).toBe(now.list.length);
      }
    }),
  );
});

test("each has its own streams, hot stores and lake; the first is the source as it was", () => {
  for (const lake of [{ "lake.dir": "/mnt/lake/" }, { "lake.url": "s3://bucket/lake/" }, {}]) {
    const { values } = loadConfig({ flags: { "data.dir": "/d", ...lake } });
    expect(generationConfig(values, ORIGINAL.list[0]!)).toBe(values);
    const config = generationConfig(values, { ...NEW, number: 2 });
    expect([config["source.package"], config["source.name"], config["hot.dir"]]).toEqual([
      "/new.spkg",
      "main-g2",
      "/d/hot/g2",
    ]);
    expect([config["lake.dir"], config["lake.url"]]).not.toEqual([values["lake.dir"], values["lake.url"]]);
    expect(config["lake.url"]).toBe("lake.url" in lake ? "s3://bucket/lake-main-g2" : "");
    expect(names("sluice", config["source.name"]).blocks.stream).toBe("SLUICE_MAIN_G2_BLOCKS");
  }
});
