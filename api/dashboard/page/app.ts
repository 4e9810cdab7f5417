/** Begins the page: header, what is above everything, and the view that the address names. */
import { control } from "./control.ts";
import { notice } from "./notice.ts";
import { overview } from "./overview.ts";
import type { Part } from "./panel.ts";
import { search } from "./search.ts";
import { Store } from "./store.ts";
import { themeButton } from "./theme.ts";
import { tokenView } from "./token-view.ts";

const TOKEN = /^#\/token\/([1-9A-HJ-NP-Za-km-z]{32,44})$/;
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
show();
setInterval(() => {
  if (!document.hidden) store.look();
}, LOOK_MS);

function show(): void {
  view?.stop();
  const mint = TOKEN.exec(location.hash)?.[1];
  document.title = "Sluice";
  view = mint === undefined ? overview(store) : tokenView(store, mint);
  main.replaceChildren(view.element);
}

function byId(id: string): HTMLElement {
  return document.getElementById(id)!;
}
