/** Goal: times are read and written as their formats say, and no client can move time. Method: golden values, round trips. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import {
  formatIso8601,
  isTimeout,
  parseHttpDate,
  parseIso8601,
  requestTime,
  SKEW_MS,
  strftime,
  timeFromHeaders,
  zoneOf,
} from "./clock.ts";

const headers = (entries: Record<string, string>) => new Headers(entries);

test("golden values", () => {
  expect(formatIso8601(1_704_067_200_000)).toBe("2024-01-01T00:00:00Z");
  expect(parseIso8601("2024-01-01T00:00:00Z")).toBe(1_704_067_200_000);
  expect(parseHttpDate("Wed, 21 Oct 2015 07:28:00 GMT")).toBe(1_445_412_480_000);
  expect(parseHttpDate("21 Oct 2015 09:28:00 +0200")).toBe(1_445_412_480_000);
});

test("what is no such time is none", () => {
  for (const text of ["", "now", "2024-01-01", "2024-13-01T00:00:00Z", "2024-01-01T00:00:00", "1704067200000"]) {
    expect({ text, ms: parseIso8601(text) }).toEqual({ text, ms: null });
  }
  for (const text of ["", "now", "Wed, 21 Okt 2015 07:28:00 GMT", "2015-10-21", "Wed, 99 Oct 2015 07:28:00 GMT"]) {
    expect({ text, ms: parseHttpDate(text) }).toEqual({ text, ms: null });
  }
});

test("what is written is read again", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 4_102_444_800_000 }), (ms) => {
      expect(parseIso8601(formatIso8601(ms))).toBe(ms);
      const seconds = Math.floor(ms / 1_000) * 1_000;
      expect(parseHttpDate(new Date(seconds).toUTCString())).toBe(seconds);
    }),
  );
});

test("a request's time is the client's word, its own header first; nothing where it says nothing", () => {
  expect(timeFromHeaders(headers({}))).toBeNull();
  expect(timeFromHeaders(headers({ date: "Wed, 21 Oct 2015 07:28:00 GMT" }))).toBe(1_445_412_480_000);
  expect(timeFromHeaders(headers({ date: "Wed, 21 Oct 2015 07:28:00 GMT", "x-request-start-time": "5" }))).toBe(5);
  for (const said of ["-1", "1e9", "NaN", "12345678901234567", " "]) {
    expect(timeFromHeaders(headers({ "x-request-start-time": said }))).toBeNull();
  }
});

test("no word moves time by more than the skew", () => {
  const now = 1_759_320_000_000;
  expect(requestTime(headers({}), now)).toBe(now);
  expect(requestTime(headers({ "x-request-start-time": String(now - 1_000) }), now)).toBe(now - 1_000);
  fc.assert(
    fc.property(fc.string({ maxLength: 20 }).filter(isHeader), fc.nat(), (text, number) => {
      for (const said of [text, String(number), String(now + number)]) {
        const at = requestTime(headers({ "x-request-start-time": said, date: said }), now);
        expect(Math.abs(at - now)).toBeLessThanOrEqual(SKEW_MS);
      }
    }),
  );
});

const isHeader = (text: string) => /^[\x20-\x7e]*$/.test(text);

test("a timeout counts from its start", () => {
  expect(isTimeout(1_000, 500, 1_500)).toBe(false);
  expect(isTimeout(1_000, 500, 1_501)).toBe(true);
});

test("strftime", () => {
  const date = new Date(Date.UTC(2024, 1, 9, 15, 4, 5, 67));
  expect(strftime("%Y-%m-%d %H:%M:%S", date)).toBe("2024-02-09 15:04:05");
  expect(strftime("%a %A %b %B %e %j %y %I %p %f %%", date)).toBe(
    "Fri Friday Feb February  9 040 24 03 PM 067000000 %",
  );
  expect(strftime("%F %T %R %D %s", date)).toBe("2024-02-09 15:04:05 15:04 02/09/24 1707491045");
  for (const format of ["%Q", "%", "100%", "%\n"]) {
    expect(() => strftime(format, date)).toThrow(expect.objectContaining({ code: "BAD_REQUEST" }));
  }
  expect([zoneOf(0), zoneOf(-120), zoneOf(330)]).toEqual(["+00:00", "+02:00", "-05:30"]);
});
