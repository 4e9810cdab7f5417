/** Begins the page: header, what is above everything, and the view that the address names. */
import { control } from "./control.ts";
import { h } from "./dom.ts";
import { notice } from "./notice.ts";
import { overview } from "./overview.ts";
import type { Part } from "./panel.ts";
import { search } from "./search.ts";
import { Store } from "./store.ts";
import { themeButton } from "./theme.ts";
import { tokenView } from "./token-view.ts";

const TOKEN = /^#\/token\/([1-9A-HJ-NP-Za-km-z]{32,44})$/;
const OVERVIEW = /^#?\/?$/;
const LOOK_MS = 1_000;

const store = new Store();
const main = byId("main");
let view: Part | null = null;

byId("status").append(control(store).element, themeButton());
search(byId("search"));
notice(byId("notice"), store);
addEventListener("hashchange", () => {
  show();
  main.focus({ preventScroll: true });
  scrollTo(0, 0);
});
// The address names the view, so the link past the header must not change it.
document.querySelector(".skip")!.addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
show();
setInterval(() => {
  if (!document.hidden) store.look();
}, LOOK_MS);

function show(): void {
  view?.stop();
  const mint = TOKEN.exec(location.hash)?.[1];
  document.title = "Sluice";
  view = mint !== undefined ? tokenView(store, mint) : OVERVIEW.test(location.hash) ? overview(store) : nowhere();
  main.replaceChildren(view.element);
}

function nowhere(): Part {
  const text = "There is nothing at this address: a token's is #/token/ and 32 to 44 letters and digits.";
  const back = h("a", { href: "#/" }, "Overview");
  return { element: h("section", { class: "panel" }, h("p", { class: "hint" }, text), back), stop: () => undefined };
}

function byId(id: string): HTMLElement {
  return document.getElementById(id)!;
}
