/** Goal: a program is found by what a person calls it, and a slip is told with what there is. Method: examples. */
import { expect, test } from "bun:test";
import { programAddress, programNamed } from "./program-named.ts";

const SPINPET = "JBMmrp6jhksqnxDBskkmVvWHhJLaPBjgiMHEroJbUTBZ";
const OTHER = "6EF8rrecthR5Dkzon8Nwu78hRvfCKubJ14M5uBEwF6P";
const programs = [{ name: "spinpet", programId: SPINPET }];

test("by name and by address", () => {
  for (const name of ["spinpet", SPINPET]) {
    expect(programNamed(programs, name)).toBe(programs[0]!);
    expect(programAddress(programs, name)).toBe(SPINPET);
  }
});

test("what is kept may be of a program that is not configured; what decodes it is", () => {
  expect(programAddress(programs, OTHER)).toBe(OTHER);
  expect(() => programNamed(programs, OTHER)).toThrow(expect.objectContaining({ code: "USAGE" }));
});

test("a slip", () => {
  const hint = 'Did you mean "spinpet"? Programs: spinpet.';
  expect(() => programAddress(programs, "spinpat")).toThrow(expect.objectContaining({ code: "USAGE", hint }));
  expect(() => programAddress([], "x")).toThrow(expect.objectContaining({ hint: "Programs: none." }));
});
