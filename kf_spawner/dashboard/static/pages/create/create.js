// Making a job: by a form, or from a manifest. What was typed is kept until the job is made, over errors and reloads.

import { get, jobPath, send } from "../../api/client.js";
import { drawForm } from "./create-form.js";
import { fill, h } from "../../common/dom.js";
import { field, showFieldErrors } from "../../common/fields.js";
import { emptyDraft, exampleDraft, formOf, readInto } from "./draft.js";
import { problem } from "../../common/problem.js";
import { notify } from "../../common/notify.js";

const KEPT = "kf-tfjob-draft-1"; // the number changes with the draft's shape

export function showCreate(main, { query, user, go }) {
  document.title = "New TFJob";
  const page = new CreatePage({ user, go });
  fill(main, h("div", { class: "head" }, h("h1", { tabindex: -1 }, "New TFJob")), page.elements);
  page.load(query);
  return () => {};
}

/** The page is drawn from `draft`, and what is typed is read back into it before anything else happens. */
class CreatePage {
  draft = null;
  offer = null;
  trouble = h("div", { role: "alert" });
  body = h("form", { class: "wide", novalidate: true }, h("p", { class: "muted" }, "Loading…"));
  modes = { form: this.modeButton("form", "Form"), manifest: this.modeButton("manifest", "Manifest") };

  constructor({ user, go }) {
    this.user = user;
    this.go = go;
    this.body.addEventListener("submit", (event) => {
      event.preventDefault();
      this.create();
    });
    this.body.addEventListener("input", () => this.keep());
  }

  get elements() {
    const modes = Object.values(this.modes);
    const tabs = h("div", { class: "tabs", role: "group", "aria-label": "How to write the job" }, modes);
    return [tabs, this.trouble, this.body];
  }

  modeButton(mode, label) {
    const choose = () => this.change(() => Object.assign(this.draft, { mode }));
    return h("button", { type: "button", onclick: choose }, label);
  }

  /** Asks what the namespace offers, and draws; the first time with the draft that was kept. */
  async load(query) {
    try {
      const namespace = this.draft?.form.namespace || this.user.namespace;
      this.offer = await get(`form?namespace=${encodeURIComponent(namespace)}`);
      this.draft ||= restored(query, this.user, this.offer);
      this.draw();
      this.keep();
    } catch (error) {
      fill(this.body, problem(error, "The form cannot be shown"));
    }
  }

  keep() {
    readInto(this.draft, this.body);
    sessionStorage.setItem(KEPT, JSON.stringify(this.draft));
  }

  /** Changes the draft, of which the page is then drawn anew; the focus goes to `focus`, a field's path. */
  change(work, focus) {
    readInto(this.draft, this.body);
    work();
    this.draw();
    this.keep();
    if (focus) this.body.querySelector(`[data-field="${CSS.escape(focus)}"]`)?.focus();
  }

  draw() {
    const { draft, offer, user } = this;
    fill(this.trouble);
    for (const [mode, button] of Object.entries(this.modes)) {
      button.setAttribute("aria-current", String(mode === draft.mode));
    }
    const change = this.change.bind(this);
    const onNamespace = () => {
      this.keep();
      this.load();
    };
    const parts =
      draft.mode === "form" ? drawForm({ draft, offer, user, change, onNamespace }) : manifestParts(draft);
    fill(this.body, offer.ready ? null : notReady(), parts, this.footer());
  }

  footer() {
    const over = h("button", { type: "button", class: "quiet", onclick: () => this.startOver() }, "Start over");
    const preview = h("button", { type: "button", onclick: () => this.toManifest() }, "Show as manifest");
    const create = h("button", { type: "submit", class: "primary" }, "Create");
    return h("div", { class: "actions" }, create, this.draft.mode === "form" && preview, over);
  }

  startOver() {
    this.draft = emptyDraft(this.user, this.offer);
    this.draw();
    this.keep();
  }

  toManifest() {
    return this.attempt(async () => {
      const { yaml } = await send("POST", "jobs?dry_run=1", { form: formOf(this.draft) });
      this.change(() => Object.assign(this.draft, { mode: "manifest", yaml }), "yaml");
    });
  }

  create() {
    return this.attempt(async () => {
      const { draft } = this;
      const made = await send("POST", "jobs", draft.mode === "form" ? { form: formOf(draft) } : { yaml: draft.yaml });
      sessionStorage.removeItem(KEPT);
      notify(`${made.name} is created`);
      this.go(jobPath(made));
    });
  }

  /** Does `work`; what is wrong is said at the fields, and the rest above the form. */
  async attempt(work) {
    this.change(() => prune(this.draft.form));
    const buttons = [...this.body.querySelectorAll("button")];
    for (const button of buttons) button.disabled = true;
    this.body.setAttribute("aria-busy", "true");
    try {
      await work();
    } catch (error) {
      for (const button of buttons) button.disabled = false;
      this.refuse(error);
    }
    this.body.removeAttribute("aria-busy");
  }

  refuse(error) {
    const text = this.body.querySelector("#yaml");
    const rest = showFieldErrors(this.body, error, text ? () => text : undefined);
    const notices = rest.map((words) => h("p", { class: "notice error" }, words));
    fill(this.trouble, notices);
    if (rest.length) this.trouble.scrollIntoView({ block: "center" });
  }
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
  const input = h("textarea", {
    class: "mono",
    rows: 24,
    spellcheck: "false",
    autocapitalize: "off",
    wrap: "off",
    placeholder: PLACEHOLDER,
  });
  input.value = draft.yaml;
  return field({
    path: "yaml",
    label: "Manifest",
    help: "One TFJob, as YAML or JSON. Without a namespace it goes to your own.",
    input,
  });
}

function notReady() {
  return h(
    "p",
    { class: "notice warning" },
    "No notebook server was ever started here, so there is no namespace for jobs yet. ",
    h("a", { href: `${document.body.dataset.hub}home` }, "Start a server once"),
    ", then come back: what you type here stays.",
  );
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
