// Which jobs of the list are shown: by a part of the name, the namespace, the state.

import { h, Part } from "../../common/dom.js";

/** @import { JobRow, JobState, User } from "../../api/wire" */
/** @typedef {{ namespace: string, state: string, search: string }} Filter an empty text: any */

/** The states to choose from, in the order of a job's life. @type {Record<JobState, boolean>} */
const OFFERED = {
  Pending: true,
  Created: true,
  Running: true,
  Restarting: true,
  Suspended: true,
  Succeeded: true,
  Failed: true,
  Deleted: false, // such a job is in no list
};
const STATES = Object.entries(OFFERED)
  .filter(([, offered]) => offered)
  .map(([state]) => state);

/**
 * The filter of an address.
 *
 * @param {URLSearchParams} query
 * @returns {Filter}
 */
export function filterOf(query) {
  const value = (/** @type {string} */ name) => query.get(name) || "";
  return { namespace: value("namespace"), state: value("state"), search: value("search") };
}

/**
 * @param {JobRow} job
 * @param {Filter} filter
 */
export function matches(job, { namespace, state, search }) {
  return (
    (!namespace || job.namespace === namespace) &&
    (!state || job.state === state) &&
    job.name.includes(search.trim().toLowerCase())
  );
}

/** The inputs that change a filter. */
export class Filters {
  #filter;
  #user;
  #namespace;
  #namespaces;
  #chips;

  /**
   * @param {Filter} filter is changed in place
   * @param {User} user
   * @param {() => void} onChange
   */
  constructor(filter, user, onChange) {
    this.#filter = filter;
    this.#user = user;
    const set = (/** @type {Partial<Filter>} */ change) => {
      Object.assign(filter, change);
      onChange();
    };
    const search = h("input", {
      id: "search",
      type: "search",
      placeholder: "A part of it",
      value: filter.search,
      oninput: () => set({ search: search.value }),
      autocomplete: "off",
      spellcheck: "false",
    });
    const namespace = h("select", { id: "namespace", onchange: () => set({ namespace: namespace.value }) });
    this.#namespace = namespace;
    this.#namespaces = new Part(namespace, (/** @type {string[]} */ names) => [
      h("option", { value: "" }, "All"),
      names.map((name) => h("option", { value: name }, name)),
    ]);
    this.#chips = ["", ...STATES].map((state) => ({
      state,
      button: h("button", { type: "button", onclick: () => set({ state }) }),
    }));
    const chips = this.#chips.map(({ button }) => button);
    this.element = h(
      "div",
      { class: "filters", hidden: true },
      labelled(search, "Name"),
      user.admin && labelled(namespace, "Namespace"),
      h("div", { class: "chips", role: "group", "aria-label": "State" }, chips),
    );
  }

  /**
   * @param {JobRow[]} all
   * @param {JobRow[]} ofAnyState those that match the filter but for its state
   */
  update(all, ofAnyState) {
    const known = [
      ...this.#user.namespaces.map(({ name }) => name),
      ...all.map(({ namespace }) => namespace),
      this.#filter.namespace,
    ];
    this.#namespaces.update([...new Set(known)].filter(Boolean).sort());
    this.#namespace.value = this.#filter.namespace;
    for (const { state, button } of this.#chips) {
      const number = ofAnyState.filter((job) => !state || job.state === state).length;
      button.textContent = `${state || "All"} ${number}`;
      button.setAttribute("aria-pressed", String(this.#filter.state === state));
      button.hidden = Boolean(state) && !number && this.#filter.state !== state;
    }
  }
}

/**
 * @param {HTMLElement} element
 * @param {string} label
 */
function labelled(element, label) {
  return h("div", { class: "field" }, h("label", { for: element.id }, label), element);
}
