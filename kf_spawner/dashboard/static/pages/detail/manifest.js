// A job's manifest, as YAML: to read, copy, download.

import { fill, h, Part } from "../../common/dom.js";
import { notify } from "../../common/notify.js";

/** @import { JobDetail } from "../../api/wire" */

export class Manifest {
  #yaml = "";
  #drawn = false;
  #content;
  #name;
  #text = new Part(
    h("pre", { class: "code", tabindex: 0, "aria-label": "Manifest" }),
    (/** @type {string} */ yaml) => yaml,
  );

  /**
   * @param {HTMLElement} content is filled with the first update
   * @param {{ name: string }} job
   */
  constructor(content, { name }) {
    this.#content = content;
    this.#name = name;
  }

  /** @param {JobDetail} job */
  update(job) {
    if (!this.#drawn) this.#draw();
    this.#yaml = job.yaml;
    this.#text.update(job.yaml);
  }

  stop() {}

  #draw() {
    this.#drawn = true;
    const button = (/** @type {string} */ label, /** @type {() => void} */ onclick) =>
      h("button", { type: "button", class: "small", onclick }, label);
    const copy = button("Copy", () => copyText(this.#yaml, this.#text.element));
    const save = button("Download", () => download(`${this.#name}.yaml`, this.#yaml));
    fill(this.#content, h("div", { class: "logbar actions" }, copy, save), this.#text.element);
  }
}

/**
 * Copies the text; where the browser does not let pages copy, selects it for the reader.
 *
 * @param {string} text
 * @param {HTMLElement} element shows the text
 */
async function copyText(text, element) {
  try {
    await navigator.clipboard.writeText(text);
    notify("Copied");
  } catch {
    getSelection()?.selectAllChildren(element);
    notify("Selected: copy it with Ctrl+C");
  }
}

/**
 * @param {string} name of the file
 * @param {string} text
 */
function download(name, text) {
  const url = URL.createObjectURL(new Blob([text], { type: "application/yaml" }));
  h("a", { href: url, download: name }).click();
  URL.revokeObjectURL(url);
}
