// The list of jobs: live, with filters that are part of the address.

import { openStream } from "../../api/stream.js";
import { fill, h, Part } from "../../common/dom.js";
import { problem } from "../../common/problem.js";
import { filterOf, Filters, matches } from "./filters.js";
import { JobTableRow } from "./row.js";

/** @import { PageContext } from "../../app.js" */
/** @import { JobRow, ListItem } from "../../api/wire" */
/** @import { Filter } from "./filters.js" */

const PACE = 50; // ms between two drawings, however much arrives
const COLUMNS = ["Name", "State", "Replicas", "Age"];

export class ListPage {
  /** @type {Map<string, JobRow>} */
  #jobs = new Map();
  /** @type {Map<string, JobTableRow>} */
  #rows = new Map();
  #ready = false;
  #timer = 0;
  #body = h("tbody");
  #user;
  #filter;
  #filters;
  #table;
  #stopStream;
  /** Below the table. @type {Part<Filter & { kind: "loading" | "rows" | "noMatch" | "empty" }>} */
  #rest = new Part(h("div"), (shown) => RESTS[shown.kind](shown));

  /**
   * @param {HTMLElement} main
   * @param {PageContext} context
   */
  constructor(main, { query, user }) {
    document.title = "TFJobs";
    this.#user = user;
    this.#filter = filterOf(query);
    this.#filters = new Filters(this.#filter, user, () => {
      remember(this.#filter);
      this.#draw();
    });
    const heads = COLUMNS.map((column) => h("th", { scope: "col" }, column));
    this.#table = h("table", { class: "cards jobs", hidden: true }, h("thead", {}, h("tr", {}, heads)), this.#body);
    this.#rest.update({ ...this.#filter, kind: "loading" });
    const newJob = h("a", { class: "button primary", href: "new", "data-nav": true }, "New TFJob");
    fill(
      main,
      h("div", { class: "head" }, h("h1", { tabindex: -1 }, "TFJobs"), newJob),
      this.#filters.element,
      this.#table,
      this.#rest.element,
    );
    this.#stopStream = openStream(() => "watch", {
      onItem: (/** @type {ListItem} */ item) => this.#take(item),
      onError: (error) => fill(this.#rest.element, problem(error, "The jobs cannot be shown")),
    });
  }

  stop() {
    this.#stopStream();
    clearTimeout(this.#timer);
  }

  /** @param {ListItem} item */
  #take(item) {
    if (item.type === "snapshot") {
      this.#jobs = new Map(item.items.map((job) => [job.uid, job]));
      this.#ready = true;
    } else if (item.type === "changed") {
      this.#jobs.set(item.job.uid, item.job);
    } else {
      this.#jobs.delete(item.uid);
      this.#rows.delete(item.uid);
    }
    this.#timer ||= setTimeout(() => this.#draw(), PACE);
  }

  #draw() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    if (!this.#ready) return;
    const all = [...this.#jobs.values()];
    const ofAnyState = all.filter((job) => matches(job, { ...this.#filter, state: "" }));
    const shown = ofAnyState.filter((job) => matches(job, this.#filter)).sort(newestFirst);
    this.#filters.update(all, ofAnyState);
    place(
      this.#body,
      shown.map((job) => this.#rowOf(job)),
    );
    this.#table.hidden = !shown.length;
    this.#filters.element.hidden = !all.length;
    this.#rest.update({ ...this.#filter, kind: shown.length ? "rows" : all.length ? "noMatch" : "empty" });
  }

  /**
   * The job's row: made once, so that the focus stays in it.
   *
   * @param {JobRow} job
   */
  #rowOf(job) {
    let row = this.#rows.get(job.uid);
    if (!row) {
      row = new JobTableRow(job, { columns: COLUMNS, withNamespace: this.#user.admin });
      this.#rows.set(job.uid, row);
    }
    row.update(job);
    return row.element;
  }
}

/**
 * @param {JobRow} one
 * @param {JobRow} other
 */
function newestFirst(one, other) {
  return other.created.localeCompare(one.created) || one.name.localeCompare(other.name);
}

/**
 * Puts the filters into the address, so that a reload or a link shows the same.
 *
 * @param {Filter} filter
 */
function remember(filter) {
  const query = new URLSearchParams(Object.entries(filter).filter(([, value]) => value));
  history.replaceState(null, "", location.pathname + (query.size ? `?${query}` : ""));
}

/**
 * Makes `elements` the children of `body`; moves as few as possible, so that the focus stays.
 *
 * @param {Element} body
 * @param {Element[]} elements
 */
function place(body, elements) {
  elements.forEach((element, index) => {
    if (body.children[index] !== element) body.insertBefore(element, body.children[index] || null);
  });
  while (body.children.length > elements.length) body.lastElementChild?.remove();
}

/** The part below the table: empty if there are rows. */
const RESTS = { loading: () => h("p", { class: "muted" }, "Loading…"), rows: () => null, noMatch, empty };

/** @param {Filter} filter */
function noMatch({ state, search, namespace }) {
  const conditions = [
    state && `is ${state}`,
    search && `has “${search}” in its name`,
    namespace && `is in ${namespace}`,
  ].filter(Boolean);
  return h("p", { class: "empty", role: "status" }, `No TFJob ${conditions.join(" and ")}.`);
}

function empty() {
  return h(
    "div",
    { class: "empty" },
    h("h2", {}, "No TFJobs yet"),
    h("p", {}, "A TFJob runs a TensorFlow program on several machines. Make your first one:"),
    h(
      "p",
      {},
      h("a", { class: "button primary", href: "new?example=1", "data-nav": true }, "Start with a small example"),
    ),
    h("p", {}, "or write this into a notebook cell:"),
    h("pre", {}, '%%tfjob hello --worker 2\nimport os\nprint(os.environ["TF_CONFIG"])'),
    h("p", { class: "help" }, "after ", h("code", {}, "%load_ext kf_spawner.notebook"), " in a cell of its own."),
  );
}
