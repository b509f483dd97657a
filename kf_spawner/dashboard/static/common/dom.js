// Elements from data. Text is always text: nothing here takes HTML.

/** @typedef {Node | string | false | null | undefined | Child[]} Child null, undefined and false are left out */
/** @typedef {string | number | boolean | null | undefined | ((event: any) => void)} AttributeValue */
/** @typedef {Record<string, AttributeValue>} Attributes `onclick` and the like are listeners */

const PROPERTIES = new Set(["value", "checked", "disabled", "hidden", "selected"]);

/**
 * An element: `h("a", {href: "…", onclick: go}, "text", child)`.
 *
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Attributes} attributes
 * @param {Child[]} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) set(element, name, value);
  append(element, children);
  return element;
}

/**
 * @param {HTMLElement} element
 * @param {string} name
 * @param {AttributeValue} value
 */
function set(element, name, value) {
  if (value === null || value === undefined || value === false) return;
  if (typeof value === "function") element.addEventListener(name.slice("on".length), value);
  else if (PROPERTIES.has(name)) Object.assign(element, { [name]: value });
  else element.setAttribute(name, value === true ? "" : String(value));
}

/**
 * @param {Element} element
 * @param {Child[]} children
 */
function append(element, children) {
  for (const child of children) {
    if (Array.isArray(child)) append(element, child);
    else if (child !== null && child !== undefined && child !== false) element.append(child);
  }
}

/**
 * Replaces the content of `element`.
 *
 * @param {Element} element
 * @param {Child[]} children
 */
export function fill(element, ...children) {
  element.replaceChildren();
  append(element, children);
}

/**
 * An element of the page's own document, index.html.
 *
 * @param {string} id
 */
export function byId(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no element ${id}`);
  return found;
}

/**
 * A part of a page that is drawn again only when its data has changed, so that focus, selection and scroll stay.
 *
 * @template Data
 */
export class Part {
  /** @type {string | undefined} */
  #shown;
  #draw;

  /**
   * @param {HTMLElement} element
   * @param {(data: Data) => Child} draw gives the children of `element`
   */
  constructor(element, draw) {
    this.element = element;
    this.#draw = draw;
  }

  /** @param {Data} data */
  update(data) {
    const key = JSON.stringify(data);
    if (key === this.#shown) return;
    this.#shown = key;
    fill(this.element, this.#draw(data));
  }
}
