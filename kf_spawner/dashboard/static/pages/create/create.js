// Creates a job from a form or a manifest. Keeps what was typed until the job exists, over errors and reloads.

import { asApiError, get, jobPath, send } from "../../api/client.js";
import { fill, h } from "../../common/dom.js";
import { field, showFieldErrors } from "../../common/fields.js";
import { notify } from "../../common/notify.js";
import { problem } from "../../common/problem.js";
import { drawForm } from "./create-form.js";
import { emptyDraft, exampleDraft, formOf, readInto, removeEmptyRows } from "./draft.js";

/** @import { PageContext } from "../../app.js" */
/** @import { ApiError } from "../../api/client.js" */
/** @import { FormMetadata, PlannedJob, User } from "../../api/wire" */
/** @import { Draft } from "./draft.js" */
/** @typedef {{ draft: Draft, offer: FormMetadata }} Loaded */

const KEPT = "kf-tfjob-draft-1"; // the number changes with the draft's shape

/** The page is drawn from the draft. Input is read back into the draft before anything else happens. */
export class CreatePage {
  /** @type {Loaded | null} */
  #loaded = null;
  #problems = h("div", { role: "alert" });
  #body = h("form", { class: "wide", novalidate: true }, h("p", { class: "muted" }, "Loading…"));
  #modes = { form: this.#modeButton("form", "Form"), manifest: this.#modeButton("manifest", "Manifest") };
  #user;
  #query;
  #go;

  /**
   * @param {HTMLElement} main
   * @param {PageContext} context
   */
  constructor(main, { query, user, go }) {
    document.title = "New TFJob";
    this.#user = user;
    this.#query = query;
    this.#go = go;
    this.#body.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#create();
    });
    this.#body.addEventListener("input", () => this.#keep());
    const group = { class: "tabs", role: "group", "aria-label": "How to write the job" };
    fill(
      main,
      h("div", { class: "head" }, h("h1", { tabindex: -1 }, "New TFJob")),
      h("div", group, Object.values(this.#modes)),
      this.#problems,
      this.#body,
    );
    this.#load();
  }

  stop() {}

  /**
   * @param {Draft["mode"]} mode
   * @param {string} label
   */
  #modeButton(mode, label) {
    const choose = () => this.#change((draft) => (draft.mode = mode));
    return h("button", { type: "button", onclick: choose }, label);
  }

  /** Asks what the namespace offers, and draws; the first time from the kept draft. */
  async #load() {
    try {
      const namespace = this.#loaded?.draft.form.namespace || this.#user.namespace;
      /** @type {FormMetadata} */
      const offer = await get(`form?namespace=${encodeURIComponent(namespace)}`);
      const draft = this.#loaded?.draft || restoreDraft(this.#query, this.#user, offer);
      this.#loaded = { draft, offer };
      this.#draw();
      this.#keep();
    } catch (error) {
      fill(this.#body, problem(asApiError(error), "The form cannot be shown"));
    }
  }

  #keep() {
    if (!this.#loaded) return;
    readInto(this.#loaded.draft, this.#body);
    sessionStorage.setItem(KEPT, JSON.stringify(this.#loaded.draft));
  }

  /**
   * Changes the draft and draws the page again.
   *
   * @param {(draft: Draft) => void} work
   * @param {string} [focus] the path of the field that gets the focus
   */
  #change(work, focus) {
    if (!this.#loaded) return;
    readInto(this.#loaded.draft, this.#body);
    work(this.#loaded.draft);
    this.#draw();
    this.#keep();
    /** @type {HTMLElement | null} */
    const input = focus ? this.#body.querySelector(`[data-field="${CSS.escape(focus)}"]`) : null;
    input?.focus();
  }

  #draw() {
    if (!this.#loaded) return;
    const { draft, offer } = this.#loaded;
    fill(this.#problems);
    for (const [mode, button] of Object.entries(this.#modes)) {
      button.setAttribute("aria-current", String(mode === draft.mode));
    }
    const onNamespace = () => {
      this.#keep();
      this.#load();
    };
    const change = (/** @type {() => void} */ work, /** @type {string} */ focus) => this.#change(work, focus);
    const parts =
      draft.mode === "form"
        ? drawForm({ form: draft.form, offer, user: this.#user, change, onNamespace })
        : manifestField(draft);
    fill(this.#body, offer.ready ? null : notReady(), parts, this.#footer(draft));
  }

  /** @param {Draft} draft */
  #footer(draft) {
    const over = h("button", { type: "button", class: "quiet", onclick: () => this.#startOver() }, "Start over");
    const preview = h("button", { type: "button", onclick: () => this.#showManifest() }, "Show as manifest");
    const create = h("button", { type: "submit", class: "primary" }, "Create");
    return h("div", { class: "actions" }, create, draft.mode === "form" && preview, over);
  }

  #startOver() {
    if (!this.#loaded) return;
    this.#loaded.draft = emptyDraft(this.#user, this.#loaded.offer);
    this.#draw();
    this.#keep();
  }

  #showManifest() {
    return this.#attempt(async (draft) => {
      /** @type {PlannedJob} */
      const { yaml } = await send("POST", "jobs?dry_run=1", { form: formOf(draft) });
      this.#change((now) => Object.assign(now, { mode: "manifest", yaml }), "yaml");
    });
  }

  #create() {
    return this.#attempt(async (draft) => {
      const made = await send("POST", "jobs", draft.mode === "form" ? { form: formOf(draft) } : { yaml: draft.yaml });
      sessionStorage.removeItem(KEPT);
      notify(`${made.name} is created`);
      this.#go(jobPath(made));
    });
  }

  /**
   * Does `work`; shows errors at their fields, and the others above the form.
   *
   * @param {(draft: Draft) => Promise<void>} work
   */
  async #attempt(work) {
    if (!this.#loaded) return;
    this.#change(({ form }) => removeEmptyRows(form));
    const buttons = [...this.#body.querySelectorAll("button")];
    for (const button of buttons) button.disabled = true;
    this.#body.setAttribute("aria-busy", "true");
    try {
      await work(this.#loaded.draft);
    } catch (error) {
      for (const button of buttons) button.disabled = false;
      this.#showErrors(asApiError(error));
    }
    this.#body.removeAttribute("aria-busy");
  }

  /** @param {ApiError} error */
  #showErrors(error) {
    /** @type {HTMLTextAreaElement | null} */
    const text = this.#body.querySelector("#yaml");
    const rest = showFieldErrors(this.#body, error, text ? () => text : undefined);
    const notices = rest.map((message) => h("p", { class: "notice error" }, message));
    fill(this.#problems, notices);
    if (notices.length) this.#problems.scrollIntoView({ block: "center" });
  }
}

/**
 * The example when the address asks for it, the draft that was kept, or an empty one.
 *
 * @param {URLSearchParams} query
 * @param {User} user
 * @param {FormMetadata} offer
 * @returns {Draft}
 */
function restoreDraft(query, user, offer) {
  if (query.has("example")) {
    history.replaceState(null, "", location.pathname); // so that a reload shows the changed example
    return exampleDraft(user, offer);
  }
  try {
    return JSON.parse(sessionStorage.getItem(KEPT) || "null") || emptyDraft(user, offer);
  } catch {
    return emptyDraft(user, offer);
  }
}

/** @param {Draft} draft */
function manifestField(draft) {
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
    help: "One TFJob, as YAML or JSON. Without a namespace it is made in your own.",
    input,
  });
}

function notReady() {
  return h(
    "p",
    { class: "notice warning" },
    "You have not started a notebook server yet, so you have no namespace for jobs. ",
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
