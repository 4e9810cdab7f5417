/** A titled part of the page over one answer of the API, with the same four states everywhere: loading, error, empty, stale. */
import { h, setAttribute, setText } from "./dom.ts";
import { ago } from "./format.ts";
import type { Resource } from "./resource.ts";
import { Problem } from "./server.ts";

export interface PanelOptions<T> {
  readonly title: string;
  readonly resource: Resource<T>;
  /** What is shown once there is data; changed in place by `show`. */
  readonly body: HTMLElement;
  readonly show: (data: T) => void;
  /** What to say where there is nothing to show yet; null: there is something. */
  readonly empty?: (data: T) => string | null;
  /** At the right of the title. */
  readonly aside?: Element;
  readonly className?: string;
}

/** A view or a part of one: an element, and how to end what keeps it up to date. */
export interface Part {
  readonly element: HTMLElement;
  readonly stop: () => void;
}

/** What to say where nothing is wrong, but nothing can be shown yet; null: it is an error. */
function toCome(error: Error | null): string | null {
  if (!(error instanceof Problem)) return null;
  // The notice above asks for it.
  if (error.wantsToken) return "Shown to who has a token.";
  // So every deployment begins.
  return error.code === "HOT_MISSING"
    ? "Nothing is indexed here yet. It appears by itself once `sluice stages` runs."
    : null;
}

let panels = 0;

export function panel<T>(options: PanelOptions<T>): Part {
  const { title, resource, body, show, empty, aside, className = "" } = options;
  const id = `panel-${++panels}`;
  const age = h("span", { class: "age", role: "status" });
  const message = h("p", { class: "hint" });
  const retry = h("button", { type: "button", class: "small", click: () => resource.refresh() }, "Try again");
  const trouble = h("div", { class: "trouble" }, message, retry);
  const skeleton = h("div", { class: "skeleton", "aria-hidden": "true" }, h("i"), h("i"), h("i"));
  const head = h("header", {}, h("h2", { id }, title), age, aside ?? null);
  const element = h("section", { class: `panel ${className}`, "aria-labelledby": id }, head, skeleton, trouble, body);

  let shown: T | null = null;
  const stop = resource.watch(() => {
    const { data, error, at } = resource.current;
    const freshness = resource.freshness;
    const nothing = data === null ? toCome(error) : (empty?.(data) ?? null);
    const isEmpty = nothing !== null && (freshness === "ready" || data === null);
    setAttribute(element, "data-state", isEmpty ? "empty" : freshness);
    setAttribute(element, "aria-busy", freshness === "loading" ? "true" : null);
    skeleton.hidden = freshness !== "loading";
    body.hidden = data === null || nothing !== null;
    trouble.hidden = freshness !== "error" && nothing === null;
    retry.hidden = freshness !== "error" || isEmpty;
    setText(message, nothing ?? (data === null ? explain(error) : ""));
    setText(age, freshness === "stale" ? `${ago((Date.now() - at) / 1000)} old` : "");
    age.title = error === null ? "" : explain(error);
    if (data !== null && data !== shown && nothing === null) show(data);
    shown = data;
  });
  return { element, stop };
}

/** An error for the eyes of people. */
export function explain(error: Error | null): string {
  if (error === null) return "";
  return error instanceof Problem && error.status !== 0 ? `${sentence(error.message)} (${error.code})` : error.message;
}

/** With a capital letter at its beginning. */
export function sentence(text: string): string {
  return `${text.slice(0, 1).toUpperCase()}${text.slice(1)}`;
}

export function group(element: HTMLElement, parts: readonly Part[]): Part {
  element.append(...parts.map((part) => part.element));
  return { element, stop: () => stopAll(parts) };
}

export function stopAll(parts: readonly Part[]): void {
  for (const part of parts) part.stop();
}
