// The create form's fields, drawn from a draft.

import { addType, isLeader } from "./draft.js";
import { h } from "../../common/dom.js";
import { field } from "../../common/fields.js";

const RESTART = {
  Never: "Never: a failure fails the job",
  OnFailure: "OnFailure: started anew",
  Always: "Always: started anew",
  ExitCode: "ExitCode: anew from 128 on",
};
const CLEAN = {
  Running: "Stop what still runs, keep what has ended",
  None: "Leave all as it is",
  PS: "Stop parameter servers only",
  All: "Remove all pods and their logs",
};

const text = (value, attributes = {}) =>
  h("input", { value, autocomplete: "off", spellcheck: "false", ...attributes });
const words = (value, placeholder) =>
  h("textarea", { value, class: "mono grows", rows: 1, spellcheck: "false", placeholder });
const whole = (value, attributes = {}) => text(value, { type: "number", min: 0, step: 1, ...attributes });
const select = (value, options, attributes = {}) =>
  h(
    "select",
    attributes,
    options.map(([name, label]) => h("option", { value: name, selected: name === value }, label)),
  );
const named = (names, labels) => names.map((name) => [name, labels[name] || name]);

export function drawForm({ draft, offer, user, change, onNamespace }) {
  const { form } = draft;
  const images = h(
    "datalist",
    { id: "images" },
    offer.images.map(({ reference, title }) => h("option", { value: reference }, title)),
  );
  const claims = h(
    "datalist",
    { id: "claims" },
    offer.claims.map(({ name, size }) => h("option", { value: name }, size)),
  );
  const add = () => change(() => addType(form), `replicas[${form.replicas.length}].type`);
  const more = form.replicas.length < offer.replica_types.length;
  return [
    h("div", { class: "fields" }, nameField(form), user.admin && namespaceField(form, user, onNamespace)),
    form.replicas.map((replica, index) => replicaCard({ replica, index, form, offer, change })),
    more && h("div", {}, h("button", { type: "button", onclick: add }, "Add a replica type")),
    volumes(form, offer, change),
    whenItEnds(form.run_policy, offer),
    images,
    claims,
  ];
}

const nameField = (form) =>
  field({
    path: "name",
    label: "Name",
    input: text(form.name, { required: true }),
    help: "Lower-case letters, digits and -; begins with a letter.",
  });

function namespaceField(form, user, onNamespace) {
  const options = user.namespaces.map(({ name, user: owner }) => [name, owner ? `${name} (${owner})` : name]);
  const input = select(form.namespace, options, { onchange: onNamespace });
  return field({ path: "namespace", label: "Namespace", input, help: "Whose job it is." });
}

function replicaCard({ replica, index, form, offer, change }) {
  const at = `replicas[${index}]`;
  const types = named(offer.replica_types, {});
  const redraw = () => change(() => {}, `${at}.type`);
  const remove = () => change(() => form.replicas.splice(index, 1), "name");
  return h(
    "fieldset",
    { class: "card" },
    h("legend", { class: "unseen" }, `Replicas of type ${replica.type}`),
    h(
      "div",
      { class: "head" },
      h("h2", {}, replica.type),
      form.replicas.length > 1 &&
        h(
          "button",
          { type: "button", class: "small", onclick: remove, "aria-label": `Remove ${replica.type}` },
          "Remove",
        ),
    ),
    h(
      "div",
      { class: "fields" },
      field({ path: `${at}.type`, label: "Type", input: select(replica.type, types, { onchange: redraw }) }),
      field({
        path: `${at}.count`,
        label: "Replicas",
        input: whole(replica.count, isLeader(replica.type) ? { max: 1 } : {}),
      }),
      field({
        path: `${at}.restart_policy`,
        label: "When one fails",
        input: select(replica.restart_policy, named(offer.restart_policies, RESTART)),
      }),
    ),
    field({ path: `${at}.image`, label: "Image", input: text(replica.image, { list: "images", class: "mono" }) }),
    field({
      path: `${at}.command`,
      label: "Command",
      input: words(replica.command, "python -u train.py"),
      help: "As in a shell: quotes work, variables and pipes do not. Empty: the image's own.",
    }),
    field({ path: `${at}.args`, label: "Arguments", input: words(replica.args, "--steps 1000") }),
    h(
      "div",
      { class: "fields" },
      field({
        path: `${at}.cpu`,
        label: "CPU",
        input: text(replica.cpu, { placeholder: "no limit" }),
        help: "Cores: 2, 500m.",
      }),
      field({
        path: `${at}.memory`,
        label: "Memory",
        input: text(replica.memory, { placeholder: "no limit" }),
        help: "512Mi, 2Gi.",
      }),
      field({
        path: `${at}.gpu`,
        label: "GPUs",
        input: whole(replica.gpu, { placeholder: "0" }),
        help: "NVIDIA, per replica.",
      }),
    ),
    environment(replica, at, change),
  );
}

function environment(replica, at, change) {
  const add = () => change(() => replica.env.push({ name: "", value: "" }), `${at}.env[${replica.env.length}].name`);
  const rows = replica.env.map(({ name, value }, index) =>
    h(
      "div",
      { class: "row" },
      field({ path: `${at}.env[${index}].name`, label: "Variable", input: text(name, { class: "mono" }) }),
      field({ path: `${at}.env[${index}].value`, label: "Value", input: text(value, { class: "mono" }) }),
      removeRow(`variable ${name}`, () => change(() => replica.env.splice(index, 1), `${at}.args`)),
    ),
  );
  return h(
    "div",
    { class: "rows" },
    rows,
    h("div", {}, h("button", { type: "button", class: "small", onclick: add }, "Add a variable")),
  );
}

function volumes(form, offer, change) {
  const first = {
    claim: offer.claims[0]?.name || "",
    path: form.volumes.length ? "" : "/home/jovyan",
    read_only: false,
  };
  const add = () => change(() => form.volumes.push(first), `volumes[${form.volumes.length}].claim`);
  const rows = form.volumes.map(({ claim, path, read_only }, index) => {
    const box = h("input", {
      type: "checkbox",
      "data-field": `volumes[${index}].read_only`,
      id: `volumes[${index}].read_only`,
      checked: read_only,
    });
    return h(
      "div",
      { class: "row" },
      field({
        path: `volumes[${index}].claim`,
        label: "Claim",
        input: text(claim, { list: "claims", class: "mono" }),
      }),
      h(
        "div",
        { class: "field" },
        field({
          path: `volumes[${index}].path`,
          label: "Folder in the replicas",
          input: text(path, { class: "mono", placeholder: "/data" }),
        }),
        h("label", { class: "check small" }, box, "Read only"),
      ),
      removeRow(`volume ${claim}`, () => change(() => form.volumes.splice(index, 1), "run_policy.cleanPodPolicy")),
    );
  });
  return h(
    "fieldset",
    { class: "card" },
    h("legend", { class: "unseen" }, "Volumes"),
    h("h2", {}, "Volumes"),
    h("p", { class: "help" }, "Mounted in every replica."),
    h(
      "div",
      { class: "rows" },
      rows,
      h("div", {}, h("button", { type: "button", class: "small", onclick: add }, "Add a volume")),
    ),
  );
}

const removeRow = (what, remove) =>
  h(
    "button",
    { type: "button", class: "quiet", onclick: remove, "aria-label": `Remove ${what}`, title: "Remove" },
    "✕",
  );

function whenItEnds(policy, offer) {
  const number = (name, label, help) =>
    field({ path: `run_policy.${name}`, label, help, input: whole(policy[name], { placeholder: "no limit" }) });
  return h(
    "fieldset",
    { class: "card" },
    h("legend", { class: "unseen" }, "How it ends"),
    h("h2", {}, "How it ends"),
    field({
      path: "run_policy.cleanPodPolicy",
      label: "When the job has ended",
      input: select(policy.cleanPodPolicy, named(offer.clean_pod_policies, CLEAN)),
    }),
    h(
      "div",
      { class: "fields" },
      number("backoffLimit", "Most restarts", "Of all replicas together; then it fails."),
      number("activeDeadlineSeconds", "Time limit (s)", "After that it fails."),
      number("ttlSecondsAfterFinished", "Keep for (s)", "From its end to its deletion."),
    ),
  );
}
