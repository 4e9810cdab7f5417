/** Goal: settings for the range mean what they say, or are refused by name. Method: tables. */
import { expect, test } from "bun:test";
import { parseRange } from "./range.ts";

test.each<[string, string, number, number | null]>([
  ["", "", 120, null],
  ["", "0", 120, null],
  ["0", "", 0, null],
  ["5", "9", 5, 9],
  ["5", "5", 5, 5],
  [" 5 ", " +10 ", 5, 15],
  ["+30", "+10", 150, 160],
  ["", "+10", 120, 130],
  ["-100", "", -100, null],
  ["-100", "50", -100, 50],
  ["9007199254740991", "", 9007199254740991, null],
])("start %p, stop %p, initial block 120", (start, stop, first, last) => {
  expect(parseRange(start, stop, 120)).toEqual({ start: first, stop: last });
});

test.each<[string, string, string]>([
  ["x", "", "source.startBlock"],
  ["1.5", "", "source.startBlock"],
  ["-", "", "source.startBlock"],
  ["+", "", "source.startBlock"],
  ["--5", "", "source.startBlock"],
  ["1e9", "", "source.startBlock"],
  ["0x10", "", "source.startBlock"],
  ["9007199254740992", "", "source.startBlock"],
  ["5", "4", "source.stopBlock"],
  ["5", "-4", "source.stopBlock"],
  ["5", "latest", "source.stopBlock"],
  ["-5", "+4", "source.stopBlock"],
  ["9007199254740991", "+1", "source.stopBlock"],
])("start %p, stop %p: %s is refused", (start, stop, where) => {
  expect(() => parseRange(start, stop, 120)).toThrow(expect.objectContaining({ code: "RANGE_INVALID", where }));
});
