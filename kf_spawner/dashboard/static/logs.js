// A job's logs, live: all replicas side by side, or one.

import { jobPath } from "./api.js";
import { fill, h } from "./dom.js";
import { follow } from "./follow.js";
import { count } from "./format.js";
import { pane } from "./pane.js";
import { problem } from "./problem.js";

const TAIL = 1000; // lines of each replica to begin with
const MOST = 12; // panes at once

export function showLogs(content, job) {
  const path = `${jobPath(job)}/logs`;
  const panes = new Map();
  let only = new URLSearchParams(location.search).get("replica") || "";
  let known = [];
  let paused = false;
  let stop = null;

  const choice = h("select", { id: "replica", onchange: () => choose(choice.value) });
  const pause = h("button", { type: "button", class: "small", onclick: () => hold(!paused) }, "Pause");
  const times = h("input", { id: "times", type: "checkbox", onchange: () => grid.classList.toggle("timed", times.checked) });
  const note = h("p", { class: "small muted", role: "status" });
  const grid = h("div", { class: "logs" });
  fill(content,
    h("div", { class: "logbar" },
      h("label", { for: choice.id }, "Replica"), choice, pause,
      h("label", { class: "check" }, times, "Times"), note),
    grid,
  );

  function update(detail) {
    known = detail.replicas;
    const names = ["", ...known.map(({ replica }) => replica)];
    if (only && !names.includes(only)) names.push(only);
    if (names.join() !== [...choice.options].map((option) => option.value).join()) {
      fill(choice, names.map((name) => h("option", { value: name }, name || "All, side by side")));
      choice.value = only;
    }
    for (const { replica, state } of known) panes.get(replica)?.setState(state);
    if (!stop) listen();
    else if (!only) wanted().forEach(paneOf);
  }

  /** The replicas to show; all of a big job would be too many to read. */
  const wanted = () => (only ? [only] : known.slice(0, MOST).map(({ replica }) => replica));

  function choose(replica) {
    only = replica;
    history.replaceState(null, "", location.pathname + (only ? `?replica=${encodeURIComponent(only)}` : ""));
    listen();
  }

  function listen() {
    stop?.();
    hold(false);
    panes.clear();
    fill(grid);
    const names = wanted();
    names.forEach(paneOf);
    const many = known.length > MOST && !only;
    note.textContent = many ? `The first ${MOST} of ${count(known.length, "replica")}; choose any other above.` : "";
    const query = new URLSearchParams({ follow: 1, tail: TAIL });
    if (only || many) for (const name of names) query.append("replica", name);
    const address = () => {
      for (const one of panes.values()) one.again();
      return `${path}?${query}`;
    };
    stop = follow(address, { onItem, onError: (error) => fill(grid, problem(error, "The logs cannot be shown")) });
  }

  function onItem(item) {
    if (item.type === "log") {
      paneOf(item.replica).add(item);
      if (paused) pause.textContent = `Follow (${count(held(), "new line")})`;
    } else if (item.type === "end") {
      stop();
      note.textContent = `The job has ended (${item.state}): there will be no more.`;
    }
  }

  function paneOf(replica) {
    let found = panes.get(replica);
    if (!found) {
      found = pane({ replica, download: `api/${path}/${encodeURIComponent(replica)}/download`, alone: Boolean(only) });
      found.hold(paused);
      found.setState(known.find((one) => one.replica === replica)?.state);
      panes.set(replica, found);
      grid.append(found.element);
    }
    return found;
  }

  const held = () => [...panes.values()].reduce((sum, one) => sum + one.held, 0);

  function hold(on) {
    paused = on;
    pause.textContent = paused ? "Follow" : "Pause";
    for (const one of panes.values()) one.hold(paused);
  }

  return { update, stop: () => stop?.() };
}
