// The kinds of inputs of the create form.

import { h } from "../../common/dom.js";

/** @import { Attributes } from "../../common/dom.js" */

/**
 * @param {string} value
 * @param {Attributes} attributes
 */
export function textInput(value, attributes = {}) {
  return h("input", { value, autocomplete: "off", spellcheck: "false", ...attributes });
}

/**
 * An input for a whole number, 0 or more.
 *
 * @param {string} value
 * @param {Attributes} attributes
 */
export function numberInput(value, attributes = {}) {
  return textInput(value, { type: "number", min: 0, step: 1, ...attributes });
}

/**
 * An input for a command line, which grows with it.
 *
 * @param {string} value
 * @param {string} placeholder
 */
export function commandInput(value, placeholder) {
  return h("textarea", { value, class: "mono grows", rows: 1, spellcheck: "false", placeholder });
}

/**
 * @param {string} value
 * @param {readonly string[]} values to choose from
 * @param {Record<string, string>} labels what the reader sees; the value itself where there is none
 * @param {Attributes} attributes
 */
export function selectInput(value, values, labels = {}, attributes = {}) {
  const options = values.map((one) => h("option", { value: one, selected: one === value }, labels[one] || one));
  return h("select", attributes, options);
}

/**
 * The button at the end of a row that removes the row.
 *
 * @param {string} what
 * @param {() => void} onclick
 */
export function removeButton(what, onclick) {
  const attributes = { type: "button", class: "quiet", "aria-label": `Remove ${what}`, title: "Remove" };
  return h("button", { ...attributes, onclick }, "✕");
}
