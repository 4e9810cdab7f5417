/** Lake coverage: what each dataset holds, and whether the slots between its first and last are whole. */
import type { LakeDataset } from "./answers.ts";
import { type Entry, h, KeyedList, setAttribute, setText } from "./dom.ts";
import { bytes, count, dateTime, short } from "./format.ts";
import { type Part, panel } from "./panel.ts";
import type { Store } from "./store.ts";

export function lakePanel({ lake }: Store): Part {
  const summary = h("p", { class: "summary" });
  const rows = h("ul", { class: "coverage" });
  const list = new KeyedList<LakeDataset>(rows, ({ dataset }) => dataset, entry);
  return panel({
    title: "Lake",
    resource: lake,
    className: "wide-list",
    body: h("div", {}, summary, rows),
    show({ data }) {
      const datasets = data?.datasets ?? [];
      const total = (of: (d: LakeDataset) => number) => datasets.reduce((sum, d) => sum + of(d), 0);
      const size = `${bytes(total((d) => d.bytes))} in ${count(total((d) => d.files))} files`;
      setText(summary, `${size}, ${reachOf(datasets)}`);
      list.show(datasets);
    },
    empty({ data }) {
      if (data === null) return "No lake is configured.";
      return data.head === null ? "Nothing is in the lake yet: blocks go there once they are final." : null;
    },
  });
}

/** Which slots are covered, all datasets together. */
function reachOf(datasets: readonly LakeDataset[]): string {
  const ranges = datasets.flatMap((d) => d.ranges);
  if (ranges.length === 0) return "no slots covered";
  const first = Math.min(...ranges.map(([from]) => from));
  const last = Math.max(...ranges.map(([, to]) => to));
  return `slots ${count(first)} to ${count(last)}`;
}

function entry({ dataset }: LakeDataset): Entry<LakeDataset> {
  const rows = h("span", { class: "rows" });
  const bar = h("span", { class: "ranges", role: "img" });
  const element = h("li", {}, h("span", { class: "name" }, dataset), bar, rows);
  return {
    element,
    update(now) {
      setText(rows, short(now.rows));
      const gaps = now.range_count - 1;
      const whole = gaps <= 0 ? "no gap" : `${count(gaps)} ${gaps === 1 ? "gap" : "gaps"}`;
      const time =
        now.from_time === null || now.to_time === null
          ? ""
          : `, ${dateTime(now.from_time)} to ${dateTime(now.to_time)}`;
      const text = `${count(now.covered_slots)} slots, ${whole}; ${count(now.rows)} rows, ${bytes(now.bytes)}${time}`;
      setAttribute(element, "title", text);
      setAttribute(bar, "aria-label", text);
      setAttribute(element, "data-gaps", gaps > 0 ? "true" : null);
      bar.replaceChildren(...rangeBars(now.ranges));
    },
  };
}

/** Each range where it lies between the first and the last slot told. */
function rangeBars(ranges: LakeDataset["ranges"]): HTMLElement[] {
  const [first, last] = [ranges[0]?.[0] ?? 0, ranges.at(-1)?.[1] ?? 0];
  const width = Math.max(1, last - first + 1);
  return ranges.map(([from, to]) => {
    const bar = h("i");
    bar.style.left = `${((from - first) / width) * 100}%`;
    bar.style.width = `${((to - from + 1) / width) * 100}%`;
    return bar;
  });
}
