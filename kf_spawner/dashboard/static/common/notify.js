// Messages beside the page's content: short confirmations, and whether the server can be reached.

import { byId } from "./dom.js";

const STAYS = 6000; // ms

/**
 * A confirmation that disappears by itself; screen readers read it out.
 *
 * @param {string} text
 */
export function notify(text) {
  byId("said").textContent = text;
  const toast = document.createElement("div");
  toast.textContent = text;
  byId("toasts").replaceChildren(toast);
  setTimeout(() => toast.remove(), STAYS);
}

/**
 * A line under the bar while the page cannot reach the server; null removes it.
 *
 * @param {string | null} trouble
 */
export function showConnection(trouble) {
  const line = byId("connection");
  line.hidden = !trouble;
  line.textContent = trouble || "";
}
