/** Decoder health: of what each program wrote, how much became rows, and how much nobody could read. */
import { type Entry, h, KeyedList, setAttribute, setText } from "./dom.ts";
import { percent, short } from "./format.ts";
import { type Part, panel } from "./panel.ts";
import { type ProgramHealth, programsOf } from "./pipeline-model.ts";
import type { Store } from "./store.ts";

export function decodersPanel({ pipeline }: Store): Part {
  const body = h("ul", { class: "programs" });
  const list = new KeyedList<ProgramHealth>(body, ({ program }) => program, entry);
  return panel({
    title: "Decoders",
    resource: pipeline,
    body,
    show: ({ answer }) => list.show(programsOf(answer) ?? []),
    empty: ({ answer }) => ((programsOf(answer) ?? []).length === 0 ? "No decoder has reported yet." : null),
  });
}

function entry({ program }: ProgramHealth): Entry<ProgramHealth> {
  const share = h("strong");
  const note = h("p", { class: "note" });
  const bars = ["decoded", "passed", "unreadable"].map((kind) => h("i", { class: kind }));
  const bar = h("span", { class: "stack", role: "img" }, ...bars);
  const element = h("li", {}, h("div", { class: "line" }, h("span", {}, program), share), bar, note);
  return {
    element,
    update(health) {
      const { seen, decoded, passedOver, unreadable, leftOver, truncatedLogs, alarms } = health;
      const shareOf = (n: number) => (seen === 0 ? 0 : n / seen);
      setText(share, seen === 0 ? "nothing seen" : `${percent(shareOf(decoded))} decoded`);
      [decoded, passedOver, unreadable].forEach((n, i) => {
        bars[i]!.style.width = `${shareOf(n) * 100}%`;
      });
      const parts = [
        ...alarms,
        `${short(seen)} payloads`,
        `${short(unreadable)} unreadable`,
        passedOver > 0 ? `${short(passedOver)} not wanted` : "",
        leftOver > 0 ? `${short(leftOver)} longer than their layout` : "",
        truncatedLogs > 0 ? `${short(truncatedLogs)} cut logs` : "",
      ].filter((text) => text !== "");
      setText(note, parts.join(" · "));
      setAttribute(bar, "aria-label", parts.join(", "));
      setAttribute(element, "data-bad", alarms.length > 0 ? "true" : null);
    },
  };
}
