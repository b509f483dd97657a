// What can be done to a job: suspend, resume, scale, delete. What cannot be undone is asked about first.

import { jobPath, send } from "../../api/client.js";
import { ask } from "../../common/dialog.js";
import { fill, h } from "../../common/dom.js";
import { count } from "../../common/format.js";
import { notify } from "../../common/notify.js";

export function actions(job, { onDeleted }) {
  const path = jobPath(job);
  const patch = (body) => send("PATCH", path, body);
  const resume = act("Resume", async () => {
    await patch({ suspend: false });
    notify(`${job.name} is resumed`);
  });
  const suspend = ask.button("Suspend", () => suspendDialog(job, patch));
  const scale = ask.button("Scale", () => scaleDialog(job, known.scalable, patch));
  const remove = ask.button("Delete", () => deleteDialog(job, known, path, onDeleted), "danger");
  const trouble = h("div", { class: "problem", role: "alert" });
  const buttons = h("div", { class: "actions" });
  let known = null;

  function act(label, work) {
    const button = h("button", { type: "button" }, label);
    button.addEventListener("click", async () => {
      button.disabled = true;
      fill(trouble);
      try {
        await work();
      } catch (error) {
        fill(trouble, error.message);
      }
      button.disabled = false;
    });
    return button;
  }

  return {
    element: h("div", {}, buttons, trouble),
    update(now) {
      if (!known) buttons.append(suspend, resume, scale, remove);
      known = now;
      const over = now.ended || now.deleting;
      suspend.hidden = over || now.suspended;
      resume.hidden = over || !now.suspended;
      scale.hidden = over || !Object.keys(now.scalable).length;
      remove.disabled = now.deleting;
    },
  };
}

function suspendDialog(job, patch) {
  return ask({
    title: `Suspend ${job.name}?`,
    content: h(
      "p",
      {},
      "All its replicas are stopped. Resumed, it starts from the beginning, or from its own checkpoints.",
    ),
    label: "Suspend",
    async work() {
      await patch({ suspend: true });
      notify(`${job.name} is suspended`);
    },
  });
}

function deleteDialog(job, now, path, onDeleted) {
  const replicas = Object.values(now.wanted).reduce((sum, number) => sum + number, 0);
  return ask({
    title: `Delete ${job.name}?`,
    content: h(
      "p",
      {},
      `The job and its ${count(replicas, "replica")} go, and their logs with them, for good. Volumes stay.`,
    ),
    label: "Delete",
    danger: true,
    async work() {
      await send("DELETE", path);
      notify(`${job.name} is being deleted`);
      onDeleted();
    },
  });
}

function scaleDialog(job, scalable, patch) {
  const inputs = Object.entries(scalable).map(([type, number]) => ({
    type,
    number,
    input: h("input", {
      id: `scale-${type}`,
      type: "number",
      min: 0,
      step: 1,
      value: String(number),
      required: true,
    }),
  }));
  return ask({
    title: `Scale ${job.name}`,
    content: [
      h(
        "div",
        { class: "fields" },
        inputs.map(({ type, input }) => h("div", { class: "field" }, h("label", { for: input.id }, type), input)),
      ),
      h(
        "p",
        { class: "help" },
        "More are started, or those with the highest numbers stopped. Those that run learn of it when started anew.",
      ),
    ],
    label: "Scale",
    fieldOf: (field) => inputs.find(({ type }) => field.toLowerCase().includes(type.toLowerCase()))?.input,
    async work() {
      const changed = inputs.filter(({ input, number }) => Number(input.value) !== number);
      if (!changed.length) return;
      await patch({ replicas: Object.fromEntries(changed.map(({ type, input }) => [type, Number(input.value)])) });
      notify(`${job.name} is scaled: ${changed.map(({ type, input }) => `${type} ${input.value}`).join(", ")}`);
    },
  });
}
