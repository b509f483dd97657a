// One job: its state, its logs, its manifest. Live.

import { jobPath } from "../../api/client.js";
import { openStream } from "../../api/stream.js";
import { fill, h, Part } from "../../common/dom.js";
import { ago, count, duration, moment } from "../../common/format.js";
import { problem } from "../../common/problem.js";
import { hasTrouble, inWords, jobBadge, meter } from "../../common/states.js";
import { Actions } from "./actions.js";
import { Logs } from "./logs.js";
import { Manifest } from "./manifest.js";
import { Overview } from "./overview.js";

/** @import { PageContext } from "../../app.js" */
/** @import { JobDetail, JobPageItem } from "../../api/wire" */
/** @import { Child } from "../../common/dom.js" */
/** @typedef {{ update(job: JobDetail): void, stop(): void }} Tab */
/** @typedef {new (content: HTMLElement, job: { namespace: string, name: string }) => Tab} TabClass */

/** The tabs by the last part of their address. @type {Record<string, { label: string, TabOf: TabClass }>} */
const TABS = {
  "": { label: "Overview", TabOf: Overview },
  logs: { label: "Logs", TabOf: Logs },
  manifest: { label: "Manifest", TabOf: Manifest },
};

export class DetailPage {
  #state = new Part(h("div", { role: "status" }), jobBadge);
  #facts = new Part(h("div", { class: "small muted facts" }), summary);
  #trouble = new Part(h("div"), troubleNotice);
  #content = h("div", {}, h("p", { class: "muted" }, "Loading…"));
  #job;
  #actions;
  #tabs;
  #tab;
  #stopStream;

  /**
   * @param {HTMLElement} main
   * @param {PageContext} context
   */
  constructor(main, { parameters, go }) {
    const { namespace, name, tab = "" } = parameters;
    document.title = `${name} – TFJobs`;
    this.#job = { namespace, name };
    this.#actions = new Actions(this.#job, () => go(""));
    this.#tabs = tabLinks(jobPath(this.#job), tab);
    this.#tab = new TABS[tab].TabOf(this.#content, this.#job);
    fill(
      main,
      breadcrumbs(namespace),
      h("div", { class: "head" }, h("h1", { tabindex: -1, class: "break" }, name), this.#actions.element),
      h("div", { class: "facts" }, this.#state.element, this.#facts.element),
      this.#trouble.element,
      this.#tabs,
      this.#content,
    );
    this.#stopStream = openStream(() => `${jobPath(this.#job)}/watch`, {
      onItem: (/** @type {JobPageItem} */ item) => (item.type === "job" ? this.#update(item.job) : this.#endAsGone()),
      onError: (error) =>
        error.status === 404 ? this.#endAsGone() : this.#end(problem(error, "The job cannot be shown")),
    });
  }

  stop() {
    this.#stopStream();
    this.#tab.stop();
  }

  /** @param {JobDetail} job */
  #update(job) {
    const { state, reason, deleting, message } = job;
    this.#state.update({ state, reason, deleting });
    this.#facts.update(factsOf(job));
    this.#trouble.update(hasTrouble(job) ? { state, message } : null);
    this.#actions.update(job);
    this.#tab.update(job);
  }

  #endAsGone() {
    const { namespace, name } = this.#job;
    const all = h("a", { href: document.baseURI, "data-nav": true }, "All TFJobs");
    const message = `There is no job ${name} in ${namespace}, or it has been deleted. `;
    this.#end(h("div", { class: "notice info", role: "status" }, message, all));
  }

  /**
   * Shows `words` instead of the job.
   *
   * @param {Child} words
   */
  #end(words) {
    this.stop();
    this.#actions.element.remove();
    this.#tabs.remove();
    for (const { element } of [this.#state, this.#facts, this.#trouble]) fill(element);
    fill(this.#content, words);
  }
}

/** @param {string} namespace */
function breadcrumbs(namespace) {
  return h(
    "nav",
    { class: "crumbs small", "aria-label": "Where you are" },
    h("a", { href: document.baseURI, "data-nav": true }, "TFJobs"),
    " / ",
    h("a", { href: `?namespace=${encodeURIComponent(namespace)}`, "data-nav": true }, namespace),
  );
}

/**
 * @param {string} path of the job
 * @param {string} current
 */
function tabLinks(path, current) {
  const links = Object.entries(TABS).map(([tab, { label }]) => {
    const href = tab ? `${path}/${tab}` : path;
    return h("a", { href, "data-nav": true, "aria-current": tab === current && "page" }, label);
  });
  return h("nav", { class: "tabs", "aria-label": "Parts of this job" }, links);
}

/** @param {JobDetail} job */
function factsOf({ created, started, completed, wanted, counts }) {
  const seconds = started && completed ? (Date.parse(completed) - Date.parse(started)) / 1000 : null;
  return { created, wanted, counts, took: seconds === null ? "" : duration(seconds) };
}

/** @param {ReturnType<typeof factsOf>} facts */
function summary({ created, wanted, counts, took }) {
  const time = h("time", { datetime: created, title: moment(created), "data-ago": true }, ago(created));
  const types = Object.entries(wanted).map(([type, number]) => count(number, type));
  return [
    h("span", {}, types.join(", ")),
    h("span", { class: "counts" }, meter(wanted, counts), inWords(counts)),
    h("span", {}, "made ", time, " ago"),
    took && h("span", {}, `took ${took}`),
  ];
}

/** @param {Pick<JobDetail, "state" | "message"> | null} trouble */
function troubleNotice(trouble) {
  if (!trouble?.message) return null;
  return h("p", { class: `notice ${trouble.state === "Failed" ? "error" : "warning"}` }, trouble.message);
}
