// One job's row in the list.

import { jobPath } from "../../api/client.js";
import { fill, h } from "../../common/dom.js";
import { ago, count, moment } from "../../common/format.js";
import { hasTrouble, inWords, jobBadge, meter } from "../../common/states.js";

/** @import { JobRow } from "../../api/wire" */

export class JobTableRow {
  /** @type {JobRow | null} */
  #shown = null;
  #state;
  #replicas;
  #age;

  /**
   * @param {JobRow} job
   * @param {{ columns: string[], withNamespace: boolean }} options
   */
  constructor(job, { columns, withNamespace }) {
    const cells = columns.slice(1).map((column) => h("td", { "data-label": column }));
    [this.#state, this.#replicas, this.#age] = cells;
    this.#age.className = "tight";
    const link = h("a", { href: jobPath(job), "data-nav": true, class: "break" }, job.name);
    const namespace = withNamespace && h("div", { class: "muted small" }, job.namespace);
    this.element = h("tr", {}, h("th", { scope: "row" }, h("div", {}, link, namespace)), cells);
  }

  /**
   * Draws the cells again if the job has changed.
   *
   * @param {JobRow} job
   */
  update(job) {
    if (job === this.#shown) return;
    this.#shown = job;
    const { created, wanted, counts } = job;
    const types = Object.entries(wanted).map(([type, number]) => count(number, type));
    const message = hasTrouble(job) && h("div", { class: "small break" }, job.message);
    fill(this.#state, h("div", {}, jobBadge(job), message));
    fill(
      this.#replicas,
      h(
        "div",
        {},
        h("div", { class: "small" }, types.join(", ")),
        h("div", { class: "small muted counts" }, meter(wanted, counts), inWords(counts)),
      ),
    );
    fill(this.#age, h("time", { datetime: created, title: moment(created), "data-ago": true }, ago(created)));
  }
}
