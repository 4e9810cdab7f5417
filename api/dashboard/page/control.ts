/** Whether it runs, and the button that starts or stops it, which asks before it does. */
import type { StagesAnswer } from "./answers.ts";
import { h, setAttribute, setText } from "./dom.ts";
import { explain, type Part } from "./panel.ts";
import { sourceTrouble } from "./pipeline-model.ts";
import { Problem, post, setToken } from "./server.ts";
import type { Store } from "./store.ts";

type Wish = "start" | "stop";

const WORDS = {
  stop: {
    title: "Stop indexing?",
    text: "No more blocks are taken from the provider of this source. Everything stored stays and can be read; a start goes on where this stopped. The wish is kept over restarts.",
    action: "Stop",
    doing: "Stopping…",
  },
  start: {
    title: "Start indexing?",
    text: "Blocks are taken from the provider again, from where it stopped.",
    action: "Start",
    doing: "Starting…",
  },
} as const;

export function control({ pipeline, live }: Store): Part {
  const pill = h("span", { class: "pill", role: "status" }, "connecting");
  const feed = h("span", { class: "feed" });
  // Its place is kept while it is not known which of the two it is.
  const button = h("button", { type: "button", class: "small waiting" }, "Stop…");
  const ask = confirmation(() => pipeline.refresh());
  let wish: Wish = "stop";
  button.addEventListener("click", () => ask.open(wish, pipeline.current.data?.answer.source ?? ""));

  const show = () => {
    const { data, error } = pipeline.current;
    const freshness = pipeline.freshness;
    const isRefused = error instanceof Problem && error.wantsToken;
    const [mood, text] = isRefused
      ? ["idle", "token wanted"]
      : conditionOf(data?.answer ?? null, freshness === "stale" || freshness === "error");
    setText(pill, text);
    setAttribute(pill, "data-mood", mood);
    pill.title = explain(error);
    setText(feed, live.status === "up" ? "live" : "not live");
    setAttribute(feed, "data-status", live.status);
    feed.title =
      live.status === "up" ? "Told as it happens" : "The live feed is not connected: asking every few seconds";
    button.classList.toggle("waiting", data === null);
    wish = data?.answer.wanted === false ? "start" : "stop";
    setText(button, wish === "stop" ? "Stop…" : "Start…");
  };
  const ends = [pipeline.watch(show), live.watch(show)];
  const element = h("div", { class: "control" }, feed, pill, button, ask.element);
  return { element, stop: () => ends.forEach((end) => void end()) };
}

function conditionOf(answer: StagesAnswer | null, isStale: boolean): [mood: string, text: string] {
  if (isStale) return ["bad", "no answer"];
  if (answer === null) return ["idle", "connecting"];
  const isDegraded = answer.units.some((unit) => unit.state === "failed") || sourceTrouble(answer, 0) !== null;
  if (answer.running && isDegraded) return ["bad", "degraded"];
  if (answer.running) return ["ok", "running"];
  return answer.wanted ? ["bad", "not running"] : ["idle", "stopped"];
}

/** A dialog of the browser's own: it keeps the focus, and Escape leaves it. */
function confirmation(done: () => void) {
  const title = h("h2", { id: "confirm-title" });
  const text = h("p");
  const trouble = h("p", { class: "bad", role: "alert" });
  const token = h("input", {
    type: "password",
    autocomplete: "off",
    hidden: true,
    placeholder: "Token with the scope control",
  });
  token.ariaLabel = "Token with the scope control";
  const cancel = h("button", { type: "button", click: () => element.close() }, "Cancel");
  const confirm = h("button", { type: "submit", class: "primary" });
  const actions = h("div", { class: "actions" }, cancel, confirm);
  const form = h("form", {}, title, text, trouble, token, actions);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    void obey();
  });
  const element = h("dialog", { "aria-labelledby": "confirm-title" }, form);
  let wish: Wish = "stop";
  let source = "";

  const obey = async () => {
    confirm.disabled = true;
    setText(confirm, WORDS[wish].doing);
    setText(trouble, "");
    if (token.value !== "") setToken(token.value.trim());
    try {
      await post(`/api/indexer/${wish}?${new URLSearchParams({ source })}`);
      element.close();
    } catch (error) {
      setText(trouble, explain(error as Error));
      token.hidden = !(error instanceof Problem && error.wantsToken);
    }
    confirm.disabled = false;
    setText(confirm, WORDS[wish].action);
    done();
  };
  return {
    element,
    open(asked: Wish, ofSource: string) {
      [wish, source] = [asked, ofSource];
      setText(title, WORDS[wish].title);
      setText(text, WORDS[wish].text);
      setText(trouble, "");
      token.hidden = true;
      setText(confirm, WORDS[wish].action);
      setAttribute(confirm, "data-wish", wish);
      element.showModal();
      cancel.focus();
    },
  };
}
