// A question in a <dialog>: it stays open, with the reason in words, until the work is done or the reader cancels.

import { fill, h } from "./dom.js";
import { showFieldErrors } from "./fields.js";

/**
 * Asks, and does `work()` when confirmed. `fieldOf(field)` gives the input that a field of an ApiError is about.
 */
export function ask({ title, content, label, danger = false, work, fieldOf = () => undefined }) {
  const trouble = h("div", { role: "alert" });
  const confirm = h("button", { type: "submit", class: danger ? "primary danger" : "primary" }, label);
  const cancel = h("button", { type: "button", onclick: () => dialog.close() }, "Cancel");
  const form = h(
    "form",
    { method: "dialog", novalidate: true },
    h("h2", { id: "dialog-title" }, title),
    content,
    trouble,
    h("div", { class: "actions" }, cancel, confirm),
  );
  const dialog = h("dialog", { "aria-labelledby": "dialog-title" }, form);

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    confirm.disabled = true;
    fill(trouble);
    try {
      await work();
      dialog.close();
    } catch (error) {
      const rest = showFieldErrors(form, error, fieldOf);
      if (rest.length) {
        fill(
          trouble,
          rest.map((words) => h("p", { class: "notice error" }, words)),
        );
      }
    }
    confirm.disabled = false;
  });
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  if (danger) cancel.focus();
}

/** A button that opens a dialog. */
ask.button = (label, open, kind = "") =>
  h("button", { type: "button", class: kind, "aria-haspopup": "dialog", onclick: open }, label);
