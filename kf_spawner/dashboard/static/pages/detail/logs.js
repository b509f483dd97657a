// A job's logs, live: all replicas side by side, or one.

import { jobPath } from "../../api/client.js";
import { openStream } from "../../api/stream.js";
import { fill, h } from "../../common/dom.js";
import { count } from "../../common/format.js";
import { problem } from "../../common/problem.js";
import { LogPane } from "./log-pane.js";

/** @import { JobDetail, LogStreamItem, ReplicaDetail } from "../../api/wire" */

const TAIL = 1000; // lines of each replica to begin with
const MOST = 12; // panes at once

export class Logs {
  /** @type {Map<string, LogPane>} */
  #panes = new Map();
  /** Of each replica's last line, so that a stream that is opened again continues after it. @type {Map<string, string>} */
  #cursors = new Map();
  /** @type {ReplicaDetail[]} */
  #replicas = [];
  /** The one replica to show; empty: all. */
  #only = new URLSearchParams(location.search).get("replica") || "";
  #paused = false;
  /** @type {(() => void) | null} */
  #stopStream = null;
  #choice = h("select", { id: "replica", onchange: () => this.#choose(this.#choice.value) });
  #pause = h("button", { type: "button", class: "small", onclick: () => this.#hold(!this.#paused) }, "Pause");
  #note = h("p", { class: "small muted", role: "status" });
  #grid = h("div", { class: "logs" });
  #path;

  /**
   * @param {HTMLElement} content
   * @param {{ namespace: string, name: string }} job
   */
  constructor(content, job) {
    this.#path = `${jobPath(job)}/logs`;
    const times = h("input", {
      id: "times",
      type: "checkbox",
      onchange: () => this.#grid.classList.toggle("timed", times.checked),
    });
    const label = h("label", { for: this.#choice.id }, "Replica");
    const check = h("label", { class: "check" }, times, "Times");
    fill(content, h("div", { class: "logbar" }, label, this.#choice, this.#pause, check, this.#note), this.#grid);
  }

  /** @param {JobDetail} job */
  update(job) {
    this.#replicas = job.replicas;
    this.#drawChoice();
    for (const { replica, state } of this.#replicas) this.#panes.get(replica)?.setState(state);
    if (!this.#stopStream) this.#listen();
    else if (!this.#only) for (const replica of this.#wanted()) this.#paneOf(replica);
  }

  stop() {
    this.#stopStream?.();
  }

  #drawChoice() {
    const names = ["", ...this.#replicas.map(({ replica }) => replica)];
    if (this.#only && !names.includes(this.#only)) names.push(this.#only);
    if (names.join() === [...this.#choice.options].map((option) => option.value).join()) return;
    const options = names.map((name) => h("option", { value: name }, name || "All, side by side"));
    fill(this.#choice, options);
    this.#choice.value = this.#only;
  }

  /** The replicas to show; all of a big job would be too many. */
  #wanted() {
    return this.#only ? [this.#only] : this.#replicas.slice(0, MOST).map(({ replica }) => replica);
  }

  /** @param {string} replica */
  #choose(replica) {
    this.#only = replica;
    history.replaceState(null, "", location.pathname + (replica ? `?replica=${encodeURIComponent(replica)}` : ""));
    this.#listen();
  }

  #listen() {
    this.stop();
    this.#hold(false);
    this.#pause.hidden = false;
    this.#panes.clear();
    this.#cursors.clear();
    fill(this.#grid);
    const names = this.#wanted();
    for (const name of names) this.#paneOf(name);
    const many = this.#replicas.length > MOST && !this.#only;
    const all = count(this.#replicas.length, "replica");
    this.#note.textContent = many ? `The first ${MOST} of ${all}; choose any other here.` : "";
    const query = new URLSearchParams({ follow: "1", tail: String(TAIL) });
    if (this.#only || many) for (const name of names) query.append("replica", name);
    const path = () => {
      query.delete("after");
      for (const cursor of this.#cursors.values()) query.append("after", cursor);
      return `${this.#path}?${query}`;
    };
    this.#stopStream = openStream(path, {
      onItem: (/** @type {LogStreamItem} */ item) => this.#take(item),
      onError: (error) => fill(this.#grid, problem(error, "The logs cannot be shown")),
    });
  }

  /** @param {LogStreamItem} item */
  #take(item) {
    if (item.type === "log") {
      if (item.cursor) this.#cursors.set(item.replica, item.cursor);
      this.#paneOf(item.replica).add(item);
      if (this.#paused) this.#pause.textContent = `Follow (${count(this.#waiting(), "new line")})`;
    } else if (item.type === "end") {
      this.stop();
      this.#pause.hidden = true;
      this.#note.textContent = `The job has ended (${item.state}): its logs are complete.`;
    }
  }

  /** @param {string} replica */
  #paneOf(replica) {
    let pane = this.#panes.get(replica);
    if (!pane) {
      const download = `api/${this.#path}/${encodeURIComponent(replica)}/download`;
      pane = new LogPane(replica, { download, alone: Boolean(this.#only) });
      pane.hold(this.#paused);
      pane.setState(this.#replicas.find((one) => one.replica === replica)?.state);
      this.#panes.set(replica, pane);
      this.#grid.append(pane.element);
    }
    return pane;
  }

  /** How many lines wait to be shown. */
  #waiting() {
    return [...this.#panes.values()].reduce((sum, pane) => sum + pane.waiting, 0);
  }

  /** @param {boolean} on */
  #hold(on) {
    this.#paused = on;
    this.#pause.textContent = on ? "Follow" : "Pause";
    for (const pane of this.#panes.values()) pane.hold(on);
  }
}
