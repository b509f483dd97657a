// A job's overview: replicas, time line, events, and what each replica is told of the cluster.

import { fill, h, part } from "../../common/dom.js";
import { clock, moment } from "../../common/format.js";
import { badge, toneOf } from "../../common/states.js";

const LABELS = {
  "Running/False": "No longer running",
  "Restarting/False": "No longer restarting",
  "Suspended/False": "Resumed",
};
const COLUMNS = ["Replica", "State", "Pod", "Node", "Restarts", "Exit code"];

export function overview(content) {
  const replicas = part(h("div"), table);
  const conditions = part(h("ol", { class: "timeline" }), timeline);
  const happened = part(
    h("div", { class: "tall", tabindex: 0, role: "region", "aria-labelledby": "events" }),
    events,
  );
  const configs = tfConfig();
  const titled = (title, element, id) => h("section", {}, h("h2", { id }, title), element);
  const all = [
    h(
      "div",
      { class: "halves" },
      titled("Replicas", replicas.element, "replicas"),
      titled("Time line", conditions.element, "conditions"),
    ),
    titled("Events", happened.element, "events"),
    titled("TF_CONFIG", configs.element, "configs"),
  ];
  let drawn = false;
  return {
    update(job) {
      if (!drawn) fill(content, all);
      drawn = true;
      replicas.update({
        replicas: job.replicas,
        here: `jobs/${encodeURIComponent(job.namespace)}/${encodeURIComponent(job.name)}`,
      });
      conditions.update(job.conditions);
      happened.update(job.events);
      configs.update(job.replicas);
    },
  };
}

function table({ replicas, here }) {
  return h(
    "table",
    { class: "cards" },
    h(
      "thead",
      {},
      h(
        "tr",
        {},
        COLUMNS.map((column) => h("th", { scope: "col" }, column)),
      ),
    ),
    h(
      "tbody",
      {},
      replicas.map((replica) => row(replica, here)),
    ),
  );
}

function row(replica, here) {
  const why = [replica.reason, replica.message].filter(Boolean).join(": ");
  const log = `${here}/logs?replica=${replica.replica}`;
  const cell = (index, child, why) =>
    h("td", { "data-label": COLUMNS[index], class: child ? null : "none" }, h("div", {}, child || "–", why));
  return h(
    "tr",
    {},
    h(
      "th",
      { scope: "row", class: "tight" },
      replica.pod ? h("a", { href: log, "data-nav": true, title: "Its log" }, replica.replica) : replica.replica,
    ),
    cell(1, badge(replica.state), why && h("div", { class: "small break" }, why)),
    cell(2, replica.pod && h("div", { class: "small named" }, replica.pod)),
    cell(3, replica.node && h("span", { class: "small break" }, replica.node)),
    cell(4, String(replica.restarts)),
    cell(5, replica.exit_code === null ? null : String(replica.exit_code)),
  );
}

function timeline(conditions) {
  if (!conditions.length) return h("li", {}, "Nothing yet: the operator has not seen the job.");
  const inOrder = [...conditions].sort((one, other) => one.time.localeCompare(other.time));
  return inOrder.map(({ type, status, message, time }) => {
    const over = status !== "True";
    return h(
      "li",
      { class: over ? "past" : toneOf(type) },
      h(
        "div",
        {},
        h("strong", {}, over ? LABELS[`${type}/False`] || `No longer ${type}` : type),
        " ",
        h("time", { class: "small muted", datetime: time, title: moment(time) }, clock(time)),
      ),
      h("div", { class: "small break" }, message),
    );
  });
}

function events(list) {
  if (!list.length) return h("p", { class: "muted" }, "None. Kubernetes forgets events after an hour.");
  const rows = [...list]
    .reverse()
    .map((event) =>
      h(
        "tr",
        {},
        h(
          "td",
          { class: "tight small" },
          h("time", { datetime: event.time, title: moment(event.time) }, clock(event.time)),
        ),
        h("td", { class: "small" }, event.level === "Warning" ? badge(event.reason, true) : event.reason),
        h(
          "td",
          { class: "small break" },
          h("div", {}, event.message, event.count > 1 && h("span", { class: "muted" }, ` (${event.count} times)`)),
        ),
        h("td", { class: "small muted" }, h("div", { class: "named" }, event.object)),
      ),
    );
  const heads = ["When", "What", "Message", "About"].map((title) => h("th", { scope: "col" }, title));
  return h("table", { class: "cards events" }, h("thead", {}, h("tr", {}, heads)), h("tbody", {}, rows));
}

/** What the chosen replica is told of the cluster. */
function tfConfig() {
  let replicas = [];
  const choice = h("select", { id: "config", onchange: () => text.update(told()) });
  const text = part(h("div"), ({ pod, tf_config: config }) =>
    config
      ? h("pre", { class: "code", tabindex: 0, "aria-label": "TF_CONFIG" }, JSON.stringify(config, null, 2))
      : h(
          "p",
          { class: "muted" },
          pod ? "None: a job of one replica needs no cluster." : "There is no pod to tell now.",
        ),
  );
  const told = () => {
    const { pod, tf_config } = replicas.find(({ replica }) => replica === choice.value) || {};
    return { pod: Boolean(pod), tf_config };
  };
  const choices = part(choice, (names) => names.map((name) => h("option", { value: name }, name)));
  return {
    element: h("div", {}, h("div", { class: "logbar" }, h("label", { for: choice.id }, "Of"), choice), text.element),
    update(now) {
      replicas = now;
      const chosen = choice.value;
      choices.update(replicas.map(({ replica }) => replica));
      if (replicas.some(({ replica }) => replica === chosen)) choice.value = chosen;
      text.update(told());
    },
  };
}
