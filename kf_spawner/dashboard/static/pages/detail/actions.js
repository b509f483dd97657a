// What can be done to a job: suspend, resume, scale, delete. What cannot be undone is confirmed first.

import { asApiError, jobPath, send } from "../../api/client.js";
import { dialogButton, openDialog } from "../../common/dialog.js";
import { fill, h } from "../../common/dom.js";
import { count } from "../../common/format.js";
import { notify } from "../../common/notify.js";

/** @import { JobDetail } from "../../api/wire" */

export class Actions {
  #problems = h("div", { class: "problem", role: "alert" });
  #buttons = h("div", { class: "actions" });
  #suspend = dialogButton("Suspend", () => this.#openSuspend());
  #resume = h("button", { type: "button", onclick: () => this.#doResume() }, "Resume");
  #scale = dialogButton("Scale", () => this.#openScale());
  #delete = dialogButton("Delete", () => this.#openDelete(), "danger");
  #name;
  #path;
  #onDeleted;
  /** @type {JobDetail | null} */
  #job = null;

  /**
   * @param {{ namespace: string, name: string }} job
   * @param {() => void} onDeleted
   */
  constructor(job, onDeleted) {
    this.#name = job.name;
    this.#path = jobPath(job);
    this.#onDeleted = onDeleted;
    this.element = h("div", {}, this.#buttons, this.#problems);
  }

  /** @param {JobDetail} job */
  update(job) {
    if (!this.#job) this.#buttons.append(this.#suspend, this.#resume, this.#scale, this.#delete);
    this.#job = job;
    const over = job.ended || job.deleting;
    this.#suspend.hidden = over || job.suspended;
    this.#resume.hidden = over || !job.suspended;
    this.#scale.hidden = over || !Object.keys(job.scalable).length;
    this.#delete.disabled = job.deleting;
  }

  async #doResume() {
    this.#resume.disabled = true;
    fill(this.#problems);
    try {
      await send("PATCH", this.#path, { suspend: false });
      notify(`${this.#name} is resumed`);
    } catch (error) {
      fill(this.#problems, asApiError(error).message);
    }
    this.#resume.disabled = false;
  }

  #openSuspend() {
    const consequence =
      "All its replicas are stopped. When you resume it, it starts from the beginning, or from its own checkpoints.";
    openDialog({
      title: `Suspend ${this.#name}?`,
      content: h("p", {}, consequence),
      label: "Suspend",
      work: async () => {
        await send("PATCH", this.#path, { suspend: true });
        notify(`${this.#name} is suspended`);
      },
    });
  }

  #openDelete() {
    const replicas = Object.values(this.#job?.wanted || {}).reduce((sum, number) => sum + number, 0);
    const consequence = `The job, its ${count(replicas, "replica")} and their logs are deleted for good. Volumes stay.`;
    openDialog({
      title: `Delete ${this.#name}?`,
      content: h("p", {}, consequence),
      label: "Delete",
      danger: true,
      work: async () => {
        await send("DELETE", this.#path);
        notify(`${this.#name} is being deleted`);
        this.#onDeleted();
      },
    });
  }

  #openScale() {
    const inputs = Object.entries(this.#job?.scalable || {}).map(([type, number]) => scaleInput(type, number));
    const fields = inputs.map(({ type, input }) =>
      h("div", { class: "field" }, h("label", { for: input.id }, type), input),
    );
    const help =
      "Those with the highest numbers are stopped first. Running replicas see the change when they restart.";
    openDialog({
      title: `Scale ${this.#name}`,
      content: [h("div", { class: "fields" }, fields), h("p", { class: "help" }, help)],
      label: "Scale",
      fieldOf: (field) => inputs.find(({ type }) => field.toLowerCase().includes(type.toLowerCase()))?.input,
      work: async () => {
        const changed = inputs.filter(({ input, number }) => Number(input.value) !== number);
        if (!changed.length) return;
        const numbers = changed.map(({ type, input }) => [type, Number(input.value)]);
        await send("PATCH", this.#path, { replicas: Object.fromEntries(numbers) });
        notify(`${this.#name} is scaled: ${numbers.map((one) => one.join(" ")).join(", ")}`);
      },
    });
  }
}

/**
 * @param {string} type of replicas
 * @param {number} number of them now
 */
function scaleInput(type, number) {
  const attributes = { type: "number", min: 0, step: 1, value: String(number), required: true };
  return { type, number, input: h("input", { id: `scale-${type}`, ...attributes }) };
}
