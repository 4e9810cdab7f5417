/** Elements made and changed in place. Only text nodes: nothing that an answer contains is ever read as markup. */

type Child = Node | string | null;
type Attributes = Readonly<Record<string, string | boolean | ((event: Event) => void)>>;

/** An element: attributes as in HTML, functions as listeners of the event they are named for. */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[K] {
  return fill(document.createElement(tag), attributes, children);
}

export function svg<K extends keyof SVGElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: readonly Child[]
): SVGElementTagNameMap[K] {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function fill<E extends Element>(element: E, attributes: Attributes, children: readonly Child[]): E {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

/** Changes a text only when it is another one: selections and screen readers are left in peace. */
export function setText(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

export function setAttribute(element: Element, name: string, value: string | null): void {
  if (element.getAttribute(name) === value) return;
  if (value === null) element.removeAttribute(name);
  else element.setAttribute(name, value);
}

/** A list whose elements stay while their entries do, so that focus and hover survive an update. */
export class KeyedList<T> {
  private readonly parent: Element;
  private readonly keyOf: (entry: T) => string;
  private readonly make: (entry: T) => Entry<T>;
  private entries = new Map<string, Entry<T>>();

  constructor(parent: Element, keyOf: (entry: T) => string, make: (entry: T) => Entry<T>) {
    this.parent = parent;
    this.keyOf = keyOf;
    this.make = make;
  }

  show(all: readonly T[]): void {
    const next = new Map<string, Entry<T>>();
    let before: Element | null = null;
    for (const one of all) {
      const key = this.keyOf(one);
      const entry = this.entries.get(key) ?? this.make(one);
      entry.update(one);
      next.set(key, entry);
      const wanted: Element | null = before === null ? this.parent.firstElementChild : before.nextElementSibling;
      if (wanted !== entry.element) this.parent.insertBefore(entry.element, wanted);
      before = entry.element;
    }
    for (const [key, { element }] of this.entries) if (!next.has(key)) element.remove();
    this.entries = next;
  }
}

export interface Entry<T> {
  readonly element: Element;
  update(entry: T): void;
}
