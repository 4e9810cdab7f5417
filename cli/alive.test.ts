/**
 * Goal: a health check tells life from death. Method: reports of a fleet, good and bad; a server that answers, one that does
 * not find, and nobody.
 */
import { afterAll, describe, expect, test } from "bun:test";
import type { NodeReport, UnitReport, UnitState } from "../pipeline/control.ts";
import type { SluiceError } from "../pipeline/errors.ts";
import { apiAlive, judgeNodes } from "./alive.ts";

const node = (host: string, ...states: UnitState[]) => {
  const errors = [{ at: 1, code: "HOT_CORRUPT", message: "" }];
  return { host, units: states.map((state) => ({ state, errors }) as unknown as UnitReport) } as unknown as NodeReport;
};

describe("stages", () => {
  test("of this host, some at work", () => {
    const nodes = [node("a", "running", "failed"), node("a", "waiting"), node("b", "failed")];
    expect(judgeNodes(nodes, "a")).toBe("2 processes, 3 units, 1 failed");
  });

  test.each([
    ["nobody at all", [], "no stages of a"],
    ["only others", [node("b", "running")], "no stages of a"],
    [
      "all have failed",
      [node("a", "failed", "failed"), node("b", "running")],
      "all 2 units of a have failed: HOT_CORRUPT",
    ],
  ])("%s", (_name, nodes, says) => {
    expect(() => judgeNodes(nodes, "a")).toThrow(says);
  });
});

describe("an API", () => {
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: (request) =>
      new Response("{}", { status: new URL(request.url).pathname === "/v1/openapi.json" ? 200 : 404 }),
  });
  const other = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response("", { status: 500 }) });
  afterAll(() => Promise.all([server.stop(true), other.stop(true)]));

  test("answers, or does not", async () => {
    expect(await apiAlive(server.url.href)).toContain("answers");
    for (const url of [other.url.href, "http://127.0.0.1:1", "no url"]) {
      expect(await apiAlive(url).catch((e: SluiceError) => `${e.kind} ${e.code}`)).toBe("transient NOT_ALIVE");
    }
  });
});
