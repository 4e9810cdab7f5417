/** Goal: numbers read as intended, at the edges of each unit. Method: tables of values, and bounds that hold for any value. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import * as format from "./format.ts";

describe("price", () => {
  test.each([
    ["0.00000005302943002025255576", "0.0₇5303"],
    ["0.0001234", "0.0001234"],
    ["0.00001234", "0.0₄1234"],
    ["0.5", "0.5000"],
    ["1.23456", "1.235"],
    ["123.456", "123.5"],
    ["12345.6", "12,346"],
    ["0.0000000000012", "0.0₁₁1200"],
    ["0", "0"],
  ])("%s is %s", (value, text) => {
    expect(format.price(value)).toBe(text);
  });

  test("says the number again, to four digits", () => {
    const read = (text: string) =>
      Number(
        text.replaceAll(",", "").replace(/0\.0([₀-₉]+)/, (_, zeros: string) => {
          const count = Number([...zeros].map((digit) => "₀₁₂₃₄₅₆₇₈₉".indexOf(digit)).join(""));
          return `0.${"0".repeat(count)}`;
        }),
      );
    const anyPrice = fc.double({ min: 1e-27, max: 999, noNaN: true });
    fc.assert(
      fc.property(anyPrice, (value) => {
        expect(Math.abs(read(format.price(value)) / value - 1)).toBeLessThan(6e-4);
      }),
    );
  });
});

test.each([
  ["0", "0"],
  ["1", "<0.0001"],
  ["1600000", "0.0016"],
  ["1240000000", "1.24"],
  ["708000000000", "708"],
  ["12345000000000", "12.3K"],
])("%s lamports are %s SOL", (lamports, text) => {
  expect(format.sol(lamports)).toBe(text);
});

test("what is not all is never said to be all, and what is something never nothing", () => {
  expect([0, 1, 0.99999, 0.00001, 0.5, 0.0314].map(format.percent)).toEqual([
    "0%",
    "100%",
    ">99.9%",
    "<0.1%",
    "50%",
    "3.1%",
  ]);
});

test("bytes take the unit that keeps them short", () => {
  expect([0, 999, 1000, 999_499, 999_500, 10_671_929, 2.5e12].map(format.bytes)).toEqual([
    "0 B",
    "999 B",
    "1.0 kB",
    "999 kB",
    "1.0 MB",
    "10.7 MB",
    "2.5 TB",
  ]);
});

test("durations and ages take the largest unit that still says something", () => {
  expect([0.42, 12, 119, 120, 7_199, 7_200, 200_000].map(format.duration)).toEqual([
    "0.4 s",
    "12 s",
    "119 s",
    "2 min",
    "120 min",
    "2 h",
    "2 d",
  ]);
  expect([-5, 0.5, 59.9, 60, 3_600, 86_400].map(format.ago)).toEqual(["now", "now", "59s", "1m", "1h", "1d"]);
});

test("rates: unknown is not zero", () => {
  expect([null, 0, 0.42, 12.34, 1839.6].map(format.rate)).toEqual(["–", "0", "0.4", "12.3", "1,840"]);
});

test("addresses keep their ends", () => {
  expect(format.brief("4vpGeWMGpfYoJakSe1A6ADFUH5FDUrYhYitEuozEdEzR")).toBe("4vpG…dEzR");
  expect(format.brief("short")).toBe("short");
});
