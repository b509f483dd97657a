// A job's manifest, as YAML: to read, copy, download.

import { fill, h, part } from "../../common/dom.js";
import { notify } from "../../common/notify.js";

export function showManifest(content, { name }) {
  let yaml = "";
  const text = part(h("pre", { class: "code", tabindex: 0, "aria-label": "Manifest" }), (now) => now);
  const copy = h(
    "button",
    { type: "button", class: "small", onclick: () => toClipboard(yaml, text.element) },
    "Copy",
  );
  const save = h(
    "button",
    { type: "button", class: "small", onclick: () => download(`${name}.yaml`, yaml) },
    "Download",
  );
  let drawn = false;
  return {
    update(job) {
      if (!drawn) fill(content, h("div", { class: "logbar actions" }, copy, save), text.element);
      drawn = true;
      yaml = job.yaml;
      text.update(yaml);
    },
  };
}

/** Copies; where the browser does not let pages, the text is selected for the reader to copy. */
async function toClipboard(text, element) {
  try {
    await navigator.clipboard.writeText(text);
    notify("Copied");
  } catch {
    getSelection().selectAllChildren(element);
    notify("Selected: copy it with Ctrl+C");
  }
}

function download(name, text) {
  const url = URL.createObjectURL(new Blob([text], { type: "application/yaml" }));
  h("a", { href: url, download: name }).click();
  URL.revokeObjectURL(url);
}
