// A job's overview: replicas, time line, events, and the TF_CONFIG of each replica.

import { jobPath } from "../../api/client.js";
import { fill, h, Part } from "../../common/dom.js";
import { clock, moment } from "../../common/format.js";
import { badge, toneOf } from "../../common/states.js";
import { TFConfig } from "./tf-config.js";

/** @import { ConditionView, EventView, JobDetail, ReplicaDetail } from "../../api/wire" */
/** @import { Child } from "../../common/dom.js" */

/** What a condition that is no longer true is called. @type {Record<string, string>} */
const PAST = { Running: "No longer running", Restarting: "No longer restarting", Suspended: "Resumed" };
const COLUMNS = ["Replica", "State", "Pod", "Node", "Restarts", "Exit code"];

export class Overview {
  #drawn = false;
  #content;
  #config = new TFConfig();
  #replicas = new Part(h("div"), replicaTable);
  #conditions = new Part(h("ol", { class: "timeline" }), timeLine);
  #events = new Part(
    h("div", { class: "tall", tabindex: 0, role: "region", "aria-labelledby": "events" }),
    eventTable,
  );

  /** @param {HTMLElement} content is filled with the first update */
  constructor(content) {
    this.#content = content;
  }

  /** @param {JobDetail} job */
  update(job) {
    if (!this.#drawn) this.#draw();
    this.#replicas.update({ replicas: job.replicas, path: jobPath(job) });
    this.#conditions.update(job.conditions);
    this.#events.update(job.events);
    this.#config.update(job.replicas);
  }

  stop() {}

  #draw() {
    this.#drawn = true;
    fill(
      this.#content,
      h(
        "div",
        { class: "halves" },
        titled("Replicas", this.#replicas.element, "replicas"),
        titled("Time line", this.#conditions.element, "conditions"),
      ),
      titled("Events", this.#events.element, "events"),
      titled("TF_CONFIG", this.#config.element, "configs"),
    );
  }
}

/**
 * @param {string} title
 * @param {HTMLElement} element
 * @param {string} id of the heading
 */
function titled(title, element, id) {
  return h("section", {}, h("h2", { id }, title), element);
}

/** @param {{ replicas: ReplicaDetail[], path: string }} job */
function replicaTable({ replicas, path }) {
  const heads = COLUMNS.map((column) => h("th", { scope: "col" }, column));
  const rows = replicas.map((replica) => replicaRow(replica, path));
  return h("table", { class: "cards" }, h("thead", {}, h("tr", {}, heads)), h("tbody", {}, rows));
}

/**
 * @param {ReplicaDetail} replica
 * @param {string} path of the job
 */
function replicaRow(replica, path) {
  const why = [replica.reason, replica.message].filter(Boolean).join(": ");
  const log = { href: `${path}/logs?replica=${replica.replica}`, "data-nav": true, title: "Its log" };
  const name = replica.pod ? h("a", log, replica.replica) : replica.replica;
  return h(
    "tr",
    {},
    h("th", { scope: "row", class: "tight" }, name),
    cell("State", badge(replica.state), why && h("div", { class: "small break" }, why)),
    cell("Pod", replica.pod && h("div", { class: "small named" }, replica.pod)),
    cell("Node", replica.node && h("span", { class: "small break" }, replica.node)),
    cell("Restarts", String(replica.restarts)),
    cell("Exit code", replica.exit_code === null ? null : String(replica.exit_code)),
  );
}

/**
 * @param {string} column
 * @param {Child} value
 * @param {Child} [remark]
 */
function cell(column, value, remark) {
  return h("td", { "data-label": column, class: value ? null : "none" }, h("div", {}, value || "–", remark));
}

/** @param {ConditionView[]} conditions */
function timeLine(conditions) {
  if (!conditions.length) return h("li", {}, "Nothing yet: the operator has not seen the job.");
  const inOrder = [...conditions].sort((one, other) => (one.time || "").localeCompare(other.time || ""));
  return inOrder.map(({ type, status, message, time }) => {
    const over = status !== "True";
    return h(
      "li",
      { class: over ? "past" : toneOf(type) },
      h(
        "div",
        {},
        h("strong", {}, over ? PAST[type] || `No longer ${type}` : type),
        " ",
        timeOf(time, "small muted"),
      ),
      h("div", { class: "small break" }, message),
    );
  });
}

/**
 * @param {string | null} time
 * @param {string} style
 */
function timeOf(time, style = "") {
  return time && h("time", { class: style, datetime: time, title: moment(time) }, clock(time));
}

/** @param {EventView[]} events the oldest first */
function eventTable(events) {
  if (!events.length) return h("p", { class: "muted" }, "None. Kubernetes forgets events after an hour.");
  const heads = ["When", "What", "Message", "About"].map((title) => h("th", { scope: "col" }, title));
  const rows = [...events].reverse().map(eventRow);
  return h("table", { class: "cards events" }, h("thead", {}, h("tr", {}, heads)), h("tbody", {}, rows));
}

/** @param {EventView} event */
function eventRow({ level, reason, message, count, time, object }) {
  const times = count > 1 && h("span", { class: "muted" }, ` (${count} times)`);
  return h(
    "tr",
    {},
    h("td", { class: "tight small" }, timeOf(time)),
    h("td", { class: "small" }, level === "Warning" ? badge(reason, true) : reason),
    h("td", { class: "small break" }, h("div", {}, message, times)),
    h("td", { class: "small muted" }, h("div", { class: "named" }, object)),
  );
}
