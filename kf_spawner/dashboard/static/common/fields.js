// Fields of forms: label, input, help, and what is wrong with it, connected for screen readers.

import { h } from "./dom.js";

/** @import { ApiError } from "../api/client.js" */
/** @typedef {HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement} Input */

/**
 * A labelled input. `path` is the field's place in what is sent, such as `replicas[0].image`; it is the input's
 * id and name as well.
 *
 * @param {{ path: string, label: string, help?: string, input: Input }} parts
 */
export function field({ path, label, help, input }) {
  input.id = path;
  input.name = path;
  input.dataset.field = path;
  const explained = help && h("div", { class: "help", id: `${path}-help` }, help);
  if (explained) input.setAttribute("aria-describedby", explained.id);
  return h("div", { class: "field" }, h("label", { for: path }, label), input, explained || null);
}

/**
 * Puts the messages of an ApiError at their fields below `root`, and the focus on the first; gives the messages that
 * have no field here.
 *
 * @param {Element} root
 * @param {ApiError} error
 * @param {(path: string) => Input | null | undefined} inputOf
 */
export function showFieldErrors(root, error, inputOf = (path) => findInput(root, path)) {
  clearFieldErrors(root);
  const rest = [];
  /** @type {Input | undefined} */
  let first;
  for (const { field: path, message } of error.fields) {
    const input = inputOf(path);
    if (!input) {
      rest.push(`${path}: ${message}`);
      continue;
    }
    mark(input, message);
    first ||= input;
  }
  first?.focus();
  return error.fields.length ? rest : [error.message];
}

/** @param {Element} root */
function clearFieldErrors(root) {
  for (const problem of root.querySelectorAll(".problem[data-for]")) problem.remove();
  for (const input of root.querySelectorAll("[aria-invalid]")) {
    input.removeAttribute("aria-invalid");
    const kept = describedBy(input).filter((id) => !id.endsWith("-problem"));
    if (kept.length) input.setAttribute("aria-describedby", kept.join(" "));
    else input.removeAttribute("aria-describedby");
  }
}

/**
 * @param {Input} input
 * @param {string} message
 */
function mark(input, message) {
  const id = `${input.id}-problem`;
  const known = document.getElementById(id);
  if (known) {
    known.textContent += ` ${message}`;
    return;
  }
  input.setAttribute("aria-invalid", "true");
  input.setAttribute("aria-describedby", [id, ...describedBy(input)].join(" "));
  input.after(h("div", { class: "problem", id, "data-for": input.id }, message));
}

/** @param {Element} input */
function describedBy(input) {
  return (input.getAttribute("aria-describedby") || "").split(" ").filter(Boolean);
}

/**
 * The input of a path, or of the nearest that holds it.
 *
 * @param {Element} root
 * @param {string} path
 * @returns {Input | null}
 */
function findInput(root, path) {
  for (let place = path; place; place = place.replace(/(\.|\[|^)[^.[]*$/, "")) {
    const input = root.querySelector(`[data-field="${CSS.escape(place)}"]`);
    if (input) return /** @type {Input} */ (input);
  }
  return null;
}
