/** The checks behind `/health`, and the last errors of all units with what to do about them. */
import type { HealthAnswer, StagesAnswer, UnitError } from "./answers.ts";
import { type Entry, h, KeyedList, setAttribute, setText } from "./dom.ts";
import { clock, words } from "./format.ts";
import { type Part, panel } from "./panel.ts";
import type { Store } from "./store.ts";

type Check = HealthAnswer["checks"][number];
const ERRORS_SHOWN = 8;

export function healthPanel({ health }: Store): Part {
  const body = h("ul", { class: "checks" });
  const list = new KeyedList<Check>(body, ({ name }) => name, checkEntry);
  const show = ({ checks }: HealthAnswer) => list.show(checks);
  return panel({ title: "Health", resource: health, body, show, className: "health" });
}

function checkEntry({ name }: Check): Entry<Check> {
  const sign = h("span", { class: "sign" });
  const detail = h("span", { class: "note" });
  const element = h("li", {}, sign, h("span", { class: "name" }, words(name)), detail);
  return {
    element,
    update(check) {
      setAttribute(element, "data-ok", String(check.ok));
      setText(sign, check.ok ? "✓" : "!");
      setAttribute(sign, "aria-label", check.ok ? "fine" : "not fine");
      setText(detail, check.detail);
    },
  };
}

type Told = UnitError & { readonly unit: string };

export function errorsPanel({ pipeline }: Store): Part {
  const body = h("ul", { class: "errors" });
  const list = new KeyedList<Told>(body, ({ at, unit, code }) => `${at}/${unit}/${code}`, errorEntry);
  return panel({
    title: "Recent errors",
    resource: pipeline,
    body,
    show: ({ answer }) => list.show(errorsOf(answer)),
    empty: ({ answer }) => (errorsOf(answer).length === 0 ? "None." : null),
  });
}

/** Newest first. */
function errorsOf({ units }: StagesAnswer): Told[] {
  const all = units.flatMap(({ unit, errors }) => errors.map((error) => ({ ...error, unit })));
  return all.sort((a, b) => b.at - a.at).slice(0, ERRORS_SHOWN);
}

function errorEntry({ at, unit, code, message, hint }: Told): Entry<Told> {
  const head = h(
    "div",
    { class: "line" },
    h("code", {}, code),
    h("span", { class: "note" }, `${unit} · ${clock(at / 1000)}`),
  );
  const remedy = h("p", { class: "note" }, hint ?? `What to do: sluice explain ${code}`);
  return { element: h("li", {}, head, h("p", {}, message), remedy), update: () => undefined };
}
