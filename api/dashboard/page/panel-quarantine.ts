/** Quarantine: the newest payloads that could not be decoded, with the reason and how they begin. Kept, never dropped. */
import type { QuarantineAnswer } from "./answers.ts";
import { type Entry, h, KeyedList } from "./dom.ts";
import { brief, clock, count, words } from "./format.ts";
import { type Part, panel } from "./panel.ts";
import type { Store } from "./store.ts";

type Payload = QuarantineAnswer["data"][number];

export function quarantinePanel({ quarantine }: Store): Part {
  const body = h("ul", { class: "quarantine" });
  const list = new KeyedList<Payload>(body, keyOf, entry);
  return panel({
    title: "Quarantine",
    resource: quarantine,
    className: "wide-list",
    body,
    show: ({ data }) => list.show(data),
    empty: ({ data }) => (data.length === 0 ? "Nothing is in quarantine." : null),
  });
}

const keyOf = (p: Payload) => `${p.slot}/${p.signature}/${p.instruction_path}/${p.ordinal}`;

function entry(payload: Payload): Entry<Payload> {
  const { slot, time, signature, reason, detail, payload_bytes, payload_start } = payload;
  const start = payload_start.replaceAll(/(.{8})/g, "$1 ");
  const more = payload_bytes * 2 > payload_start.length ? "…" : "";
  const summary = h(
    "summary",
    {},
    h("span", { class: "reason" }, words(reason)),
    h("span", { class: "note" }, `${count(payload_bytes)} bytes`),
    h("time", { class: "note" }, clock(time)),
  );
  const facts = h(
    "div",
    {},
    h("p", {}, detail),
    h("p", { class: "note" }, `slot ${count(slot)} · signature ${brief(signature)}`),
    h("code", {}, start, more),
  );
  return { element: h("li", {}, h("details", {}, summary, facts)), update: () => undefined };
}
