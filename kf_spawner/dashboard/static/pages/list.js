// The list of jobs: live, with filters that are part of the address.

import { openStream } from "../api/stream.js";
import { fill, h, part } from "../common/dom.js";
import { ago, count, moment } from "../common/format.js";
import { problem } from "../common/problem.js";
import { hasTrouble, inWords, jobBadge, meter } from "../common/states.js";

const STATES = ["Pending", "Created", "Running", "Restarting", "Suspended", "Succeeded", "Failed"];
const PACE = 50; // ms between two drawings, whatever comes
const COLUMNS = ["Name", "State", "Replicas", "Age"];

export function showList(main, { query, user }) {
  document.title = "TFJobs";
  const jobs = new Map();
  const rows = new Map();
  const filter = {
    namespace: query.get("namespace") || "",
    state: query.get("state") || "",
    search: query.get("search") || "",
  };
  const tools = filters(filter, user, () => {
    remember(filter);
    draw();
  });
  const body = h("tbody");
  const heads = COLUMNS.map((column) => h("th", { scope: "col" }, column));
  const table = h("table", { class: "cards jobs", hidden: true }, h("thead", {}, h("tr", {}, heads)), body);
  const rest = part(h("div"), (what) => RESTS[what.kind]?.(what));
  rest.update({ kind: "loading" });
  const newJob = h("a", { class: "button primary", href: "new", "data-nav": true }, "New TFJob");
  fill(
    main,
    h("div", { class: "head" }, h("h1", { tabindex: -1 }, "TFJobs"), newJob),
    tools.element,
    table,
    rest.element,
  );
  let ready = false;
  let timer = 0;

  function draw() {
    clearTimeout(timer);
    timer = 0;
    if (!ready) return;
    const here = [...jobs.values()].filter((job) => matches(job, { ...filter, state: "" }));
    const shown = here.filter((job) => matches(job, filter)).sort(newestFirst);
    tools.update([...jobs.values()], here);
    const elements = shown.map((job) => row(rows, job, user));
    if (elements.some((element, index) => body.children[index] !== element)) place(body, elements);
    while (body.children.length > elements.length) body.lastElementChild.remove();
    table.hidden = !shown.length;
    tools.element.hidden = !jobs.size;
    rest.update({ ...filter, kind: shown.length ? "" : jobs.size ? "noMatch" : "empty" });
  }

  const stop = openStream(() => "watch", {
    onItem(item) {
      if (item.type === "snapshot") {
        jobs.clear();
        for (const job of item.items) jobs.set(job.uid, job);
        ready = true;
      } else if (item.type === "changed") jobs.set(item.job.uid, item.job);
      else if (item.type === "removed") {
        jobs.delete(item.uid);
        rows.delete(item.uid);
      } else return;
      timer ||= setTimeout(draw, PACE);
    },
    onError: (error) => fill(rest.element, problem(error, "The jobs cannot be shown")),
  });
  return () => {
    stop();
    clearTimeout(timer);
  };
}

const newestFirst = (one, other) => other.created.localeCompare(one.created) || one.name.localeCompare(other.name);

function matches(job, { namespace, state, search }) {
  return (
    (!namespace || job.namespace === namespace) &&
    (!state || job.state === state) &&
    job.name.includes(search.trim().toLowerCase())
  );
}

/** Puts the filters into the address, so that a reload or a link shows the same. */
function remember(filter) {
  const query = new URLSearchParams(Object.entries(filter).filter(([, value]) => value));
  history.replaceState(null, "", location.pathname + (query.size ? `?${query}` : ""));
}

function filters(filter, user, changed) {
  const choose = (name) => (event) => {
    filter[name] = event.target.value;
    changed();
  };
  const search = h("input", {
    id: "search",
    type: "search",
    placeholder: "A part of it",
    value: filter.search,
    oninput: choose("search"),
    autocomplete: "off",
    spellcheck: "false",
  });
  const namespace = h("select", { id: "namespace", onchange: choose("namespace") });
  const namespaces = part(namespace, (names) => [
    h("option", { value: "" }, "All"),
    names.map((name) => h("option", { value: name }, name)),
  ]);
  const states = h("div", { class: "chips", role: "group", "aria-label": "State" });
  const chips = ["", ...STATES].map((state) => {
    const press = () => {
      filter.state = state;
      changed();
    };
    return { state, button: h("button", { type: "button", onclick: press }) };
  });
  states.append(...chips.map((chip) => chip.button));
  const field = (element, label) => h("div", { class: "field" }, h("label", { for: element.id }, label), element);
  return {
    element: h(
      "div",
      { class: "filters", hidden: true },
      field(search, "Name"),
      user.admin && field(namespace, "Namespace"),
      states,
    ),
    update(all, here) {
      const known = [
        ...user.namespaces.map(({ name }) => name),
        ...all.map((job) => job.namespace),
        filter.namespace,
      ];
      namespaces.update([...new Set(known)].filter(Boolean).sort());
      namespace.value = filter.namespace;
      for (const { state, button } of chips) {
        const number = here.filter((job) => !state || job.state === state).length;
        button.textContent = `${state || "All"} ${number}`;
        button.setAttribute("aria-pressed", String(filter.state === state));
        button.hidden = Boolean(state) && !number && filter.state !== state;
      }
    },
  };
}

/** Puts the rows in order; only those move that have to, so that the one with the focus keeps it. */
function place(body, elements) {
  elements.forEach((element, index) => {
    if (body.children[index] !== element) body.insertBefore(element, body.children[index] || null);
  });
}

/** The job's row: made once, its cells drawn anew when what they show has changed. */
function row(rows, job, user) {
  let known = rows.get(job.uid);
  if (!known) {
    const href = `jobs/${encodeURIComponent(job.namespace)}/${encodeURIComponent(job.name)}`;
    const cells = COLUMNS.slice(1).map((column) => h("td", { "data-label": column }));
    const name = h(
      "th",
      { scope: "row" },
      h(
        "div",
        {},
        h("a", { href, "data-nav": true, class: "break" }, job.name),
        user.admin && h("div", { class: "muted small" }, job.namespace),
      ),
    );
    known = { element: h("tr", {}, name, cells), cells, shown: null };
    rows.set(job.uid, known);
  }
  if (job !== known.shown) {
    known.shown = job;
    const [state, numbers, age] = known.cells;
    fill(state, h("div", {}, jobBadge(job), hasTrouble(job) && h("div", { class: "small break" }, job.message)));
    fill(numbers, h("div", {}, replicas(job)));
    fill(age, h("time", { datetime: job.created, title: moment(job.created), "data-ago": true }, ago(job.created)));
    age.className = "tight";
  }
  return known.element;
}

function replicas({ wanted, counts }) {
  const types = Object.entries(wanted)
    .map(([type, number]) => count(number, type))
    .join(", ");
  return [
    h("div", { class: "small" }, types),
    h("div", { class: "small muted counts" }, meter(wanted, counts), inWords(counts)),
  ];
}

/** What is below the table: nothing, where there are rows. */
const RESTS = { loading: () => h("p", { class: "muted" }, "Loading…"), noMatch, empty };

function noMatch(filter) {
  const said = [
    filter.state && `is ${filter.state}`,
    filter.search && `has “${filter.search}” in its name`,
    filter.namespace && `is in ${filter.namespace}`,
  ].filter(Boolean);
  return h("p", { class: "empty", role: "status" }, `No TFJob ${said.join(" and ")}.`);
}

function empty() {
  return h(
    "div",
    { class: "empty" },
    h("h2", {}, "No TFJobs yet"),
    h("p", {}, "A TFJob runs a TensorFlow program on as many machines as it asks for. Make a first one:"),
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
