// A job's logs, live: all replicas side by side, or one.

import { jobPath } from "../../api/client.js";
import { fill, h } from "../../common/dom.js";
import { openStream } from "../../api/stream.js";
import { count } from "../../common/format.js";
import { logPane } from "./log-pane.js";
import { problem } from "../../common/problem.js";

const TAIL = 1000; // lines of each replica to begin with
const MOST = 12; // panes at once

export const showLogs = (content, job) => new Logs(content, job);

class Logs {
  panes = new Map();
  cursors = new Map(); // of each replica's last line, so that a stream that is opened again continues after it
  known = [];
  paused = false;
  stopStream = null;
  only = new URLSearchParams(location.search).get("replica") || "";
  choice = h("select", { id: "replica", onchange: () => this.choose(this.choice.value) });
  pause = h("button", { type: "button", class: "small", onclick: () => this.hold(!this.paused) }, "Pause");
  note = h("p", { class: "small muted", role: "status" });
  grid = h("div", { class: "logs" });

  constructor(content, job) {
    this.path = `${jobPath(job)}/logs`;
    const timed = (event) => this.grid.classList.toggle("timed", event.target.checked);
    const times = h("input", { id: "times", type: "checkbox", onchange: timed });
    const label = h("label", { for: this.choice.id }, "Replica");
    const check = h("label", { class: "check" }, times, "Times");
    fill(content, h("div", { class: "logbar" }, label, this.choice, this.pause, check, this.note), this.grid);
  }

  /** Takes the job as it is now: its replicas and their states. */
  update(detail) {
    this.known = detail.replicas;
    const names = ["", ...this.known.map(({ replica }) => replica)];
    if (this.only && !names.includes(this.only)) names.push(this.only);
    if (names.join() !== [...this.choice.options].map((option) => option.value).join()) {
      const options = names.map((name) => h("option", { value: name }, name || "All, side by side"));
      fill(this.choice, options);
      this.choice.value = this.only;
    }
    for (const { replica, state } of this.known) this.panes.get(replica)?.setState(state);
    if (!this.stopStream) this.listen();
    else if (!this.only) for (const replica of this.wanted()) this.paneOf(replica);
  }

  stop() {
    this.stopStream?.();
  }

  /** The replicas to show; all of a big job would be too many to read. */
  wanted() {
    return this.only ? [this.only] : this.known.slice(0, MOST).map(({ replica }) => replica);
  }

  choose(replica) {
    this.only = replica;
    history.replaceState(null, "", location.pathname + (replica ? `?replica=${encodeURIComponent(replica)}` : ""));
    this.listen();
  }

  listen() {
    this.stop();
    this.hold(false);
    this.pause.hidden = false;
    this.panes.clear();
    fill(this.grid);
    const names = this.wanted();
    for (const name of names) this.paneOf(name);
    const many = this.known.length > MOST && !this.only;
    const all = count(this.known.length, "replica");
    this.note.textContent = many ? `The first ${MOST} of ${all}; choose any other here.` : "";
    const query = new URLSearchParams({ follow: 1, tail: TAIL });
    if (this.only || many) for (const name of names) query.append("replica", name);
    this.cursors.clear();
    const address = () => {
      query.delete("after");
      for (const cursor of this.cursors.values()) query.append("after", cursor);
      return `${this.path}?${query}`;
    };
    this.stopStream = openStream(address, {
      onItem: (item) => this.take(item),
      onError: (error) => fill(this.grid, problem(error, "The logs cannot be shown")),
    });
  }

  take(item) {
    if (item.type === "log") {
      if (item.cursor) this.cursors.set(item.replica, item.cursor);
      this.paneOf(item.replica).add(item);
      if (this.paused) this.pause.textContent = `Follow (${count(this.held(), "new line")})`;
    } else if (item.type === "end") {
      this.stop();
      this.pause.hidden = true;
      this.note.textContent = `The job has ended (${item.state}): there will be no more.`;
    }
  }

  paneOf(replica) {
    let found = this.panes.get(replica);
    if (!found) {
      const download = `api/${this.path}/${encodeURIComponent(replica)}/download`;
      found = logPane({ replica, download, alone: Boolean(this.only) });
      found.hold(this.paused);
      found.setState(this.known.find((one) => one.replica === replica)?.state);
      this.panes.set(replica, found);
      this.grid.append(found.element);
    }
    return found;
  }

  held() {
    return [...this.panes.values()].reduce((sum, one) => sum + one.held, 0);
  }

  hold(on) {
    this.paused = on;
    this.pause.textContent = on ? "Follow" : "Pause";
    for (const one of this.panes.values()) one.hold(on);
  }
}
