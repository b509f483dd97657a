// What the page says aside of its content: short confirmations, and whether it is in touch with the server.

const STAYS = 6000; // ms

/** A confirmation that goes by itself; read out to those who cannot see it. */
export function notify(text) {
  document.getElementById("said").textContent = text;
  const toast = document.createElement("div");
  toast.textContent = text;
  document.getElementById("toasts").replaceChildren(toast);
  setTimeout(() => toast.remove(), STAYS);
}

/** A line under the bar while the page is out of touch; null takes it away. */
export function showConnection(trouble) {
  const line = document.getElementById("connection");
  line.hidden = !trouble;
  line.textContent = trouble || "";
}
