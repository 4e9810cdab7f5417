/**
 * The API's reference, made from its own document: every operation with its parameters and its answer, and a form that asks
 * it. What steers the pipeline is not asked from here: that has a place of its own, which makes sure first.
 */
import { h, setText } from "./dom.ts";
import {
  curlOf,
  type Field,
  fieldsOf,
  type Listed,
  type OpenApi,
  operationsOf,
  type Parameter,
  typeOf,
  urlOf,
} from "./reference-model.ts";
import { token } from "./server.ts";
import { themeButton } from "./theme.ts";

const DOCUMENT = "/v1/openapi.json";
/** Of an answer, characters. */
const SHOWN_MAX = 20_000;
/** An answer without an end is listened to for so long, ms. */
const LISTEN_MS = 5_000;
const TOLD_HEADERS = ["content-type", "etag", "ratelimit", "retry-after", "x-request-id"];

document.getElementById("status")!.append(themeButton());
void begin(document.getElementById("main")!);

async function begin(main: HTMLElement): Promise<void> {
  try {
    const response = await fetch(DOCUMENT);
    if (!response.ok) throw new Error(`status ${response.status}`);
    main.replaceChildren(...reference((await response.json()) as OpenApi));
    openNamed();
    addEventListener("hashchange", openNamed);
  } catch (error) {
    main.replaceChildren(
      h("p", { class: "hint", role: "alert" }, `${DOCUMENT} cannot be read: ${(error as Error).message}`),
    );
  }
}

/** The operation that the address names is opened. */
function openNamed(): void {
  const named = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!(named instanceof HTMLDetailsElement)) return;
  named.open = true;
  named.scrollIntoView({ block: "start" });
}

function reference(openApi: OpenApi): HTMLElement[] {
  const { info, tags } = openApi;
  const filter = h("input", { type: "search", placeholder: "Find a route", "aria-label": "Find a route" });
  const intro = h(
    "section",
    { class: "panel intro" },
    h("h1", {}, `${info.title} API`, h("span", { class: "note" }, ` ${info.version}`)),
    ...info.description.split("\n\n").map((text) => h("p", {}, ...inline(text))),
    h("p", { class: "note" }, "The document itself: ", h("a", { href: DOCUMENT }, DOCUMENT)),
    filter,
  );
  const sections = tags.map(({ name, description }) => {
    const operations = operationsOf(openApi, name).map((listed) => ({ listed, element: operation(listed, openApi) }));
    const about = h("p", { class: "note" }, description);
    const element = h(
      "section",
      { class: "panel", "aria-label": name },
      h("header", {}, h("h2", {}, name), about),
      ...operations.map((one) => one.element),
    );
    return { element, operations };
  });
  filter.addEventListener("input", () => {
    const wanted = filter.value.trim().toLowerCase();
    for (const { element, operations } of sections) {
      for (const { listed, element } of operations) {
        const text = `${listed.method} ${listed.path} ${listed.operation.summary}`.toLowerCase();
        element.hidden = !text.includes(wanted);
      }
      element.hidden = operations.every((one) => one.element.hidden);
    }
  });
  return [intro, ...sections.map(({ element }) => element)];
}

/** Between backticks stands code. */
function inline(text: string): (Node | string)[] {
  return text.split("`").map((part, i) => (i % 2 === 1 ? h("code", {}, part) : part));
}

function operation({ method, path, operation }: Listed, { components }: OpenApi): HTMLElement {
  const { operationId, summary, responses } = operation;
  const scope = operation["x-scope"];
  const head = h(
    "summary",
    {},
    h("b", { class: "method", "data-method": method }, method),
    h("code", {}, path),
    h("span", { class: "note" }, summary),
    h("span", { class: "note scope", title: "who may ask" }, scope === "anyone" ? "anyone" : `scope ${scope}`),
  );
  const element = h("details", { class: "operation", id: operationId }, head);
  // Made when it is looked at: there are many.
  const fill = () => {
    if (!element.open || element.childElementCount > 1) return;
    const answer = Object.values(responses["200"]?.content ?? {})[0]?.schema;
    element.append(
      form(method, path, operation),
      answered(answer === undefined ? [] : fieldsOf(answer, components.schemas)),
    );
  };
  element.addEventListener("toggle", fill);
  return element;
}

function form(
  method: string,
  path: string,
  { parameters = [], requestBody, ...about }: Listed["operation"],
): HTMLElement {
  // A browser sends the headers of its own accord.
  const rows = parameters.filter((parameter) => parameter.in !== "header").map(parameterRow);
  const body = h("textarea", { rows: "4", spellcheck: "false", "aria-label": "Body, JSON" });
  const example =
    path === "/api/query" ? { sql: "select kind, count(*) as n from trades group by kind" } : { mints: [] };
  if (requestBody !== undefined) body.value = JSON.stringify(example);
  const line = h("code", { class: "curl" });
  const result = h("div", { class: "result", "aria-live": "polite" });
  const isAsked = about["x-scope"] !== "control";
  const send = h("button", { type: "submit", class: "small primary" }, "Ask");
  const form = h(
    "form",
    {},
    rows.length === 0 ? null : h("div", { class: "parameters" }, ...rows.map(({ element }) => element)),
    requestBody === undefined ? null : body,
    h("p", { class: "ask" }, isAsked ? send : null, line),
    result,
  );
  const url = () => urlOf(path, parameters, new Map(rows.map(({ name, input }) => [name, input.value])));
  const tell = () => setText(line, curlOf(method, location.origin + url(), body.value));
  form.addEventListener("input", tell);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (isAsked) void ask(method, url(), body.value, result);
  });
  tell();
  return form;
}

function parameterRow({ name, required, description, schema }: Parameter) {
  const input =
    schema.enum === undefined
      ? h("input", { autocomplete: "off", spellcheck: "false", placeholder: String(schema.default ?? "") })
      : h(
          "select",
          {},
          h("option", { value: "" }, schema.default === undefined ? "" : `${schema.default} (default)`),
          ...schema.enum.map((value) => h("option", { value }, value)),
        );
  if (required) input.required = true;
  const type = h("span", { class: "note" }, `${typeOf(schema)}${required ? ", needed" : ""}`);
  const element = h("label", {}, h("code", {}, name), input, type, h("span", { class: "note" }, description));
  return { name, input, element };
}

async function ask(method: string, url: string, body: string, result: HTMLElement): Promise<void> {
  setText(result, "Asking…");
  const known = token();
  const started = performance.now();
  try {
    const response = await fetch(url, {
      method,
      headers: {
        ...(known === null ? {} : { authorization: `Bearer ${known}` }),
        ...(body === "" ? {} : { "content-type": "application/json" }),
      },
      ...(body === "" ? {} : { body }),
    });
    const text = await textOf(response, result);
    const ms = Math.round(performance.now() - started);
    const headers = TOLD_HEADERS.flatMap((name) =>
      response.headers.has(name) ? [`${name}: ${response.headers.get(name)}`] : [],
    );
    const status = h("b", { class: response.ok ? "up" : "down" }, `${response.status} ${response.statusText}`);
    result.replaceChildren(
      h("p", {}, status, h("span", { class: "note" }, ` in ${ms} ms, ${text.length} characters`)),
      h("pre", { class: "note" }, headers.join("\n")),
      h("pre", { tabindex: "0" }, shown(text)),
    );
  } catch (error) {
    setText(result, `No answer: ${(error as Error).message}`);
  }
}

/** The whole answer; of one without an end, what comes in a few seconds. */
async function textOf(response: Response, result: HTMLElement): Promise<string> {
  if (response.body === null || response.headers.get("content-type") !== "text/event-stream") return response.text();
  setText(result, `Listening for ${LISTEN_MS / 1_000} s…`);
  const reader = response.body.getReader();
  const timer = setTimeout(() => void reader.cancel(), LISTEN_MS);
  const decoder = new TextDecoder();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done || text.length > SHOWN_MAX) break;
    text += decoder.decode(value, { stream: true });
  }
  clearTimeout(timer);
  await reader.cancel();
  return text;
}

/** JSON indented, with the digits that it came with. */
function shown(text: string): string {
  const cut =
    text.length > SHOWN_MAX ? `${text.slice(0, SHOWN_MAX)}\n… ${text.length - SHOWN_MAX} characters more` : text;
  return cut === text && /^[[{]/.test(text) ? indented(text) : cut;
}

/** Not parsed: numbers keep all their digits. */
function indented(json: string): string {
  let depth = 0;
  const tokens = json.match(/"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g) ?? [];
  const line = () => `\n${"  ".repeat(depth)}`;
  let text = "";
  tokens.forEach((token, i) => {
    const isEmpty = (token === "{" || token === "[") && /[}\]]/.test(tokens[i + 1] ?? "");
    const closesEmpty = (token === "}" || token === "]") && /^[{[]$/.test(tokens[i - 1] ?? "");
    if (token === "}" || token === "]") depth--;
    if ((token === "}" || token === "]") && !closesEmpty) text += line();
    text += token === ":" ? ": " : token;
    if (token === "{" || token === "[") depth++;
    if (token === "," || ((token === "{" || token === "[") && !isEmpty)) text += line();
  });
  return text;
}

function answered(fields: readonly Field[]): HTMLElement {
  const rows = fields.map(({ depth, name, type, description }) => {
    const member = h("code", {}, name);
    member.style.marginLeft = `${depth * 16}px`;
    return h("li", {}, member, h("span", { class: "note" }, type), h("span", { class: "note" }, description));
  });
  return rows.length === 0
    ? h("p", { class: "note" }, "The answer is text, or has no fixed shape.")
    : h("details", { class: "fields" }, h("summary", {}, "What the answer has"), h("ul", {}, ...rows));
}
