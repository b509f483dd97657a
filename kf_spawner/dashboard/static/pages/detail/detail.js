// One job: what it is doing, its logs, its manifest. Live.

import { actions } from "./actions.js";
import { jobPath } from "../../api/client.js";
import { fill, h, part } from "../../common/dom.js";
import { openStream } from "../../api/stream.js";
import { ago, count, duration, moment } from "../../common/format.js";
import { showLogs } from "./logs.js";
import { showManifest } from "./manifest.js";
import { overview } from "./overview.js";
import { problem } from "../../common/problem.js";
import { hasTrouble, inWords, jobBadge, meter } from "../../common/states.js";

const TABS = [
  ["", "Overview"],
  ["logs", "Logs"],
  ["manifest", "Manifest"],
];

export function showDetail(main, { parameters, go }) {
  const { namespace, name, tab = "" } = parameters;
  const here = `jobs/${encodeURIComponent(namespace)}/${encodeURIComponent(name)}`;
  document.title = `${name} – TFJobs`;
  const state = part(h("div", { role: "status" }), jobBadge);
  const facts = part(h("div", { class: "small muted facts" }), summary);
  const trouble = part(h("div"), (job) => job.message && notice(job));
  const buttons = actions({ namespace, name }, { onDeleted: () => go("") });
  const content = h("div", {}, h("p", { class: "muted" }, "Loading…"));
  const body = { "": overview, logs: showLogs, manifest: showManifest }[tab](content, { namespace, name });

  fill(
    main,
    h(
      "nav",
      { class: "crumbs small", "aria-label": "Where you are" },
      h("a", { href: document.baseURI, "data-nav": true }, "TFJobs"),
      " / ",
      h("a", { href: `?namespace=${encodeURIComponent(namespace)}`, "data-nav": true }, namespace),
    ),
    h("div", { class: "head" }, h("h1", { tabindex: -1, class: "break" }, name), buttons.element),
    h("div", { class: "facts" }, state.element, facts.element),
    trouble.element,
    h(
      "nav",
      { class: "tabs", "aria-label": "Parts of this job" },
      TABS.map(([path, label]) =>
        h(
          "a",
          { href: path ? `${here}/${path}` : here, "data-nav": true, "aria-current": tab === path && "page" },
          label,
        ),
      ),
    ),
    content,
  );

  const stop = openStream(() => `${jobPath({ namespace, name })}/watch`, {
    onItem(item) {
      if (item.type === "gone") return gone();
      if (item.type !== "job") return;
      const { state: word, reason, deleting } = item.job;
      state.update({ state: word, reason, deleting });
      facts.update(factsOf(item.job));
      trouble.update(hasTrouble(item.job) ? { state: item.job.state, message: item.job.message } : {});
      buttons.update(item.job);
      body.update(item.job);
    },
    onError: (error) => (error.status === 404 ? gone() : end(problem(error, "The job cannot be shown"))),
  });

  function gone() {
    end(
      h(
        "div",
        { class: "notice info", role: "status" },
        `There is no job ${name} in ${namespace}, or it has been deleted. `,
        h("a", { href: document.baseURI, "data-nav": true }, "All TFJobs"),
      ),
    );
  }

  function end(words) {
    stop();
    body.stop?.();
    buttons.element.remove();
    main.querySelector(".tabs")?.remove();
    fill(state.element);
    fill(facts.element);
    fill(trouble.element);
    fill(content, words);
  }

  return () => {
    stop();
    body.stop?.();
  };
}

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

const factsOf = ({ created, started, completed, wanted, counts }) => ({
  created,
  wanted,
  counts,
  took: started && completed && duration((Date.parse(completed) - Date.parse(started)) / 1000),
});

function notice({ state, message }) {
  return h("p", { class: `notice ${state === "Failed" ? "error" : "warning"}` }, message);
}
