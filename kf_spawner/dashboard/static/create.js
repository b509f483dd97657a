// Making a job: by a form, or from a manifest. What was typed is kept until the job is made, over errors and reloads.

import { get, send } from "./api.js";
import { drawForm } from "./createform.js";
import { fill, h } from "./dom.js";
import { field, showFieldErrors } from "./fields.js";
import { emptyDraft, exampleDraft, formOf, readInto } from "./draft.js";
import { problem } from "./problem.js";
import { say } from "./speak.js";

const KEPT = "kf-tfjob-draft-1"; // the number changes with the draft's shape

export function showCreate(main, { query, user, go }) {
  document.title = "New TFJob";
  let draft = null;
  let offer = null;
  const trouble = h("div", { role: "alert" });
  const body = h("form", { class: "wide", novalidate: true }, h("p", { class: "muted" }, "Loading…"));
  const kinds = [["form", "Form"], ["manifest", "Manifest"]].map(([mode, label]) => ({
    mode,
    button: h("button", { type: "button", onclick: () => change(() => { draft.mode = mode; }) }, label),
  }));
  const tabs = h("div", { class: "tabs", role: "group", "aria-label": "How to write the job" }, kinds.map(({ button }) => button));
  fill(main, h("div", { class: "head" }, h("h1", { tabindex: -1 }, "New TFJob")), tabs, trouble, body);

  const keep = () => sessionStorage.setItem(KEPT, JSON.stringify(draft));
  const read = () => readInto(draft, body);

  /** Changes the draft, of which the page is then drawn anew; the focus goes to `focus`, a field's path. */
  function change(work, focus) {
    read();
    work();
    keep();
    draw();
    if (focus) body.querySelector(`[data-field="${CSS.escape(focus)}"]`)?.focus();
  }

  function draw() {
    fill(trouble);
    for (const { mode, button } of kinds) button.setAttribute("aria-current", String(mode === draft.mode));
    const parts = draft.mode === "form" ? drawForm({ draft, offer, user, change, onNamespace }) : manifestParts(draft);
    fill(body, offer.ready ? null : notReady(), parts, footer());
  }

  const onNamespace = async () => {
    read();
    keep();
    await load();
  };

  function footer() {
    const over = h("button", { type: "button", class: "quiet", onclick: startOver }, "Start over");
    const preview = h("button", { type: "button", onclick: toManifest }, "Show as manifest");
    const create = h("button", { type: "submit", class: "primary" }, "Create");
    return h("div", { class: "actions" }, create, draft.mode === "form" && preview, over);
  }

  function startOver() {
    sessionStorage.removeItem(KEPT);
    draft = emptyDraft(user, offer);
    draw();
  }

  const toManifest = () =>
    attempt(async () => {
      const { yaml } = await send("POST", "jobs?dry_run=1", { form: formOf(draft) });
      change(() => Object.assign(draft, { mode: "manifest", yaml }), "yaml");
    });

  const create = () =>
    attempt(async () => {
      const sent = draft.mode === "form" ? { form: formOf(draft) } : { yaml: draft.yaml };
      const made = await send("POST", "jobs", sent);
      sessionStorage.removeItem(KEPT);
      say(`${made.name} is created`);
      go(`jobs/${encodeURIComponent(made.namespace)}/${encodeURIComponent(made.name)}`);
    });

  /** Does `work`; what is wrong is said at the fields, and the rest above the form. */
  async function attempt(work) {
    change(() => draft.mode === "form" && prune(draft.form));
    body.setAttribute("aria-busy", "true");
    const buttons = [...body.querySelectorAll("button")];
    for (const button of buttons) button.disabled = true;
    try {
      await work();
    } catch (error) {
      for (const button of buttons) button.disabled = false;
      const rest = showFieldErrors(body, error, draft.mode === "manifest" ? () => body.querySelector("#yaml") : undefined);
      fill(trouble, rest.map((words) => h("p", { class: "notice error" }, words)));
      if (rest.length) trouble.scrollIntoView({ block: "center" });
    }
    body.removeAttribute("aria-busy");
  }

  async function load() {
    try {
      const namespace = draft?.form.namespace || user.namespace;
      offer = await get(`form?namespace=${encodeURIComponent(namespace)}`);
      draft ||= restored(query, user, offer);
      keep();
      draw();
    } catch (error) {
      fill(body, problem(error, "The form cannot be shown"));
    }
  }

  body.addEventListener("submit", (event) => {
    event.preventDefault();
    create();
  });
  body.addEventListener("input", () => {
    read();
    keep();
  });
  load();
  return () => {};
}

function restored(query, user, offer) {
  if (query.has("example")) {
    history.replaceState(null, "", location.pathname); // a reload shows what was made of it
    return exampleDraft(user, offer);
  }
  try {
    return JSON.parse(sessionStorage.getItem(KEPT)) || emptyDraft(user, offer);
  } catch {
    return emptyDraft(user, offer);
  }
}

/** Rows that were added and left empty are no part of the job. */
function prune(form) {
  for (const replica of form.replicas) replica.env = replica.env.filter(({ name, value }) => name || value);
  form.volumes = form.volumes.filter(({ claim, path }) => claim || path);
}

function manifestParts(draft) {
  const input = h("textarea", { class: "mono", rows: 24, spellcheck: "false", autocapitalize: "off", wrap: "off", placeholder: PLACEHOLDER });
  input.value = draft.yaml;
  return field({ path: "yaml", label: "Manifest", help: "One TFJob, as YAML or JSON. Without a namespace it goes to your own.", input });
}

function notReady() {
  return h("p", { class: "notice warning" },
    "No notebook server was ever started here, so there is no namespace for jobs yet. ",
    h("a", { href: `${document.body.dataset.hub}home` }, "Start a server once"), ", then come back: what you type here stays.");
}

const PLACEHOLDER = `apiVersion: kubeflow.org/v1
kind: TFJob
metadata:
  name: mnist
spec:
  tfReplicaSpecs:
    Worker:
      replicas: 2
      template:
        spec:
          containers:
            - name: tensorflow
              image: …
              command: [python, train.py]`;
