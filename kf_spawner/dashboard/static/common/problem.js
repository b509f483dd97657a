// An error in words, on the page: what was wanted, what went wrong, and a way on.

import { h } from "./dom.js";

/** A notice for `error`, an ApiError; `wanted` says what could not be done. */
export function problem(error, wanted) {
  const again = { type: "button", class: "small", onclick: () => location.reload() };
  return h(
    "div",
    { class: "notice error", role: "alert" },
    h("p", {}, h("strong", {}, `${wanted}. `), error.message),
    error.retry && h("p", {}, h("button", again, error.status === 401 ? "Log in again" : "Try again")),
  );
}
