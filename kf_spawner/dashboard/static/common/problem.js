// An error on the page: what cannot be done, what went wrong, and what to do.

import { h } from "./dom.js";

/** @import { ApiError } from "../api/client.js" */

/**
 * A notice for an error.
 *
 * @param {ApiError} error
 * @param {string} wanted what could not be done, as "The form cannot be shown"
 */
export function problem(error, wanted) {
  const again = { type: "button", class: "small", onclick: () => location.reload() };
  return h(
    "div",
    { class: "notice error", role: "alert" },
    h("p", {}, h("strong", {}, `${wanted}. `), error.message),
    error.retry && h("p", {}, h("button", again, error.status === 401 ? "Log in again" : "Try again")),
  );
}
