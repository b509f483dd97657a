// A question in a <dialog>. It stays open, and shows an error, until the work is done or the reader cancels.

import { asApiError } from "../api/client.js";
import { fill, h } from "./dom.js";
import { showFieldErrors } from "./fields.js";

/** @import { Child } from "./dom.js" */

/**
 * @typedef {object} Question
 * @property {string} title
 * @property {Child} content
 * @property {string} label of the button that confirms
 * @property {boolean} [danger] whether the work cannot be undone
 * @property {() => Promise<void>} work is done when confirmed
 * @property {(field: string) => HTMLInputElement | undefined} [fieldOf] the input that a field of an ApiError is about
 */

/** @param {Question} question */
export function openDialog({ title, content, label, danger = false, work, fieldOf = () => undefined }) {
  const problems = h("div", { role: "alert" });
  const confirm = h("button", { type: "submit", class: danger ? "primary danger" : "primary" }, label);
  const cancel = h("button", { type: "button", onclick: () => dialog.close() }, "Cancel");
  const form = h(
    "form",
    { method: "dialog", novalidate: true },
    h("h2", { id: "dialog-title" }, title),
    content,
    problems,
    h("div", { class: "actions" }, cancel, confirm),
  );
  const dialog = h("dialog", { "aria-labelledby": "dialog-title" }, form);

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    confirm.disabled = true;
    fill(problems);
    try {
      await work();
      dialog.close();
    } catch (error) {
      const rest = showFieldErrors(form, asApiError(error), fieldOf);
      fill(
        problems,
        rest.map((message) => h("p", { class: "notice error" }, message)),
      );
    }
    confirm.disabled = false;
  });
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  if (danger) cancel.focus();
}

/**
 * A button that opens a dialog.
 *
 * @param {string} label
 * @param {() => void} open
 * @param {string} style
 */
export function dialogButton(label, open, style = "") {
  return h("button", { type: "button", class: style, "aria-haspopup": "dialog", onclick: open }, label);
}
