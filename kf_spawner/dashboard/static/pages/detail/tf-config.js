// The TF_CONFIG of one replica, which the reader chooses.

import { h, Part } from "../../common/dom.js";

/** @import { ReplicaDetail } from "../../api/wire" */

export class TFConfig {
  /** @type {ReplicaDetail[]} */
  #replicas = [];
  #choice = h("select", { id: "config", onchange: () => this.#draw() });
  #options = new Part(this.#choice, (/** @type {string[]} */ names) =>
    names.map((name) => h("option", { value: name }, name)),
  );
  #text = new Part(h("div"), configText);

  constructor() {
    const label = h("label", { for: this.#choice.id }, "Of");
    this.element = h("div", {}, h("div", { class: "logbar" }, label, this.#choice), this.#text.element);
  }

  /** @param {ReplicaDetail[]} replicas */
  update(replicas) {
    this.#replicas = replicas;
    const chosen = this.#choice.value;
    this.#options.update(replicas.map(({ replica }) => replica));
    if (replicas.some(({ replica }) => replica === chosen)) this.#choice.value = chosen;
    this.#draw();
  }

  #draw() {
    const replica = this.#replicas.find((one) => one.replica === this.#choice.value);
    this.#text.update({ hasPod: Boolean(replica?.pod), config: replica?.tf_config || null });
  }
}

/** @param {{ hasPod: boolean, config: object | null }} replica */
function configText({ hasPod, config }) {
  if (config) {
    return h("pre", { class: "code", tabindex: 0, "aria-label": "TF_CONFIG" }, JSON.stringify(config, null, 2));
  }
  const why = hasPod
    ? "None: a job of one replica needs no cluster, and that of a large job is too long for this page."
    : "None: the replica has no pod now.";
  return h("p", { class: "muted" }, why);
}
