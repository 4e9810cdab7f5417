/** Finds a token by name, symbol or address. Arrow keys choose, Enter opens, Escape leaves; "/" comes here from anywhere. */
import type { Listed, RankedAnswer } from "./answers.ts";
import { h, setAttribute, setText } from "./dom.ts";
import { brief, short } from "./format.ts";
import { explain } from "./panel.ts";
import { titleOf } from "./panel-mints.ts";
import { get } from "./server.ts";

const ADDRESS = /^[1-9A-HJ-NP-Za-km-z]{32,44}$/;
const WAIT_MS = 180;
const FOUND_MAX = 8;

export function search(root: HTMLElement): void {
  const input = h("input", {
    ...{ type: "search", placeholder: "Search tokens", "aria-label": "Search tokens by name, symbol or address" },
    ...{ autocomplete: "off", spellcheck: "false", maxlength: "64", role: "combobox", "aria-controls": "found" },
    ...{ "aria-expanded": "false", "aria-autocomplete": "list" },
  });
  const found = h("ul", { id: "found", role: "listbox", hidden: true, "aria-label": "Tokens found" });
  root.append(input, h("kbd", { "aria-hidden": "true" }, "/"), found);
  let timer: ReturnType<typeof setTimeout> | undefined;
  let asking = new AbortController();
  let chosen = -1;

  const options = () => [...found.querySelectorAll<HTMLElement>("[role=option]")];
  const choose = (next: number) => {
    const all = options();
    chosen = all.length === 0 ? -1 : (next + all.length) % all.length;
    all.forEach((option, i) => {
      setAttribute(option, "aria-selected", String(i === chosen));
    });
    setAttribute(input, "aria-activedescendant", all[chosen]?.id ?? null);
  };
  const close = () => {
    asking.abort();
    clearTimeout(timer);
    found.hidden = true;
    setAttribute(input, "aria-expanded", "false");
    choose(-1);
  };
  const open = (mint: string) => {
    input.value = "";
    close();
    location.hash = `#/token/${mint}`;
  };
  const show = (entries: readonly HTMLElement[]) => {
    found.replaceChildren(...entries);
    found.hidden = false;
    setAttribute(input, "aria-expanded", "true");
    choose(0);
  };
  const look = async (text: string) => {
    asking.abort();
    asking = new AbortController();
    const { signal } = asking;
    try {
      const query = new URLSearchParams({ q: text, limit: String(FOUND_MAX) });
      const { data } = await get<Listed<RankedAnswer>>(`/v1/mints/search?${query}`, signal);
      if (!signal.aborted) show(data.length === 0 ? [note("No token has this name.")] : data.map(option(open)));
    } catch (error) {
      if (!signal.aborted) show([note(explain(error as Error))]);
    }
  };
  input.addEventListener("input", () => {
    const text = input.value.trim();
    clearTimeout(timer);
    if (text === "") close();
    else timer = setTimeout(() => void look(text), WAIT_MS);
  });
  input.addEventListener("keydown", (event) => {
    const text = input.value.trim();
    if (event.key === "Escape") close();
    else if (event.key === "ArrowDown") choose(chosen + 1);
    else if (event.key === "ArrowUp") choose(chosen - 1);
    else if (event.key === "Enter" && ADDRESS.test(text)) open(text);
    else if (event.key === "Enter") options()[chosen]?.click();
    else return;
    event.preventDefault();
  });
  input.addEventListener("blur", () => close());
  document.addEventListener("keydown", (event) => {
    const isTyping = event.target instanceof HTMLInputElement || document.querySelector("dialog[open]") !== null;
    if (event.key !== "/" || isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    input.focus();
  });
}

function option(open: (mint: string) => void) {
  return (mint: RankedAnswer, i: number) => {
    const name = h("span", { class: "note" });
    setText(name, mint.name ?? "");
    return h(
      "li",
      // Before the input loses its focus, and the list with it.
      { role: "option", id: `found-${i}`, mousedown: (event) => event.preventDefault(), click: () => open(mint.mint) },
      h("strong", {}, titleOf(mint)),
      name,
      h("span", { class: "address" }, brief(mint.mint)),
      h("span", { class: "note" }, `${short(mint.trades_1h)} trades`),
    );
  };
}

function note(text: string) {
  return h("li", { class: "hint" }, text);
}
