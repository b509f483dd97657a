// What the page says beside its content: short confirmations, and whether it reaches the server.

import { byId } from "./dom.js";

const STAYS = 6000; // ms

/**
 * A confirmation that goes by itself; read out to those who cannot see it.
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
