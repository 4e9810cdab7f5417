/** Dark or light: as the system has it, until somebody chooses. */
import { h, setText } from "./dom.ts";

const KEY = "sluice.theme";
const THEMES = ["system", "dark", "light"] as const;
type Theme = (typeof THEMES)[number];
const SIGNS = { system: "◐", dark: "●", light: "○" } as const;

/** Said to whoever paints on a canvas. */
export const THEME_CHANGED = "sluice:theme";

export function themeButton(): HTMLElement {
  let theme: Theme = THEMES.find((known) => known === localStorage.getItem(KEY)) ?? "system";
  const button = h("button", { type: "button", class: "small icon" });
  const show = () => {
    if (theme === "system") delete document.documentElement.dataset["theme"];
    else document.documentElement.dataset["theme"] = theme;
    setText(button, SIGNS[theme]);
    button.ariaLabel = `Colours: ${theme}`;
    button.title = `Colours: ${theme}`;
    document.dispatchEvent(new Event(THEME_CHANGED));
  };
  button.addEventListener("click", () => {
    theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length]!;
    localStorage.setItem(KEY, theme);
    show();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", show);
  show();
  return button;
}
