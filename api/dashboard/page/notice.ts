/** Above everything: that the API does not answer, or that it wants a token. */
import { h, setText } from "./dom.ts";
import { ago } from "./format.ts";
import { Problem, setToken } from "./server.ts";
import type { Store } from "./store.ts";

export function notice(root: HTMLElement, { pipeline }: Store): void {
  const text = h("p");
  const banner = h("div", { class: "banner", "data-mood": "bad", hidden: true }, text);
  const access = tokenForm();
  root.append(banner, access);
  pipeline.watch(() => {
    const { error, at } = pipeline.current;
    const isRefused = error instanceof Problem && error.wantsToken;
    access.hidden = !isRefused;
    banner.hidden = error === null || isRefused || pipeline.freshness === "loading";
    if (error === null) return;
    const since = at === 0 ? "" : ` What is shown is ${ago((Date.now() - at) / 1000)} old.`;
    const isReached = error instanceof Problem && error.status !== 0;
    const what = isReached ? `The state of the pipeline cannot be read (${error.code}).` : error.message;
    setText(text, `${what}${since} Trying again.`);
  });
}

/** The token stays in this tab. */
function tokenForm(): HTMLElement {
  const input = h("input", { type: "password", autocomplete: "off", required: true, "aria-label": "Token" });
  const form = h(
    "form",
    { class: "banner", hidden: true },
    h("p", {}, "This API wants a token with the scopes read and live. `sluice token create` makes one."),
    input,
    h("button", { type: "submit", class: "primary" }, "Use it"),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    setToken(input.value.trim());
    location.reload();
  });
  return form;
}
