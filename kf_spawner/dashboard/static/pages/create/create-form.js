// The create form's fields, drawn from a draft.

import { h } from "../../common/dom.js";
import { field } from "../../common/fields.js";
import { addType, isLeader } from "./draft.js";
import { commandInput, numberInput, removeButton, selectInput, textInput } from "./inputs.js";

/** @import { CleanPodPolicy, FormMetadata, RestartPolicy, User } from "../../api/wire" */
/** @import { FormDraft, PolicyDraft, PolicyNumber, ReplicaDraft } from "./draft.js" */
/** @typedef {(work: () => void, focus: string) => void} Change does the work on the draft, draws, sets the focus */

/** @type {Record<RestartPolicy, string>} */
const RESTART = {
  Never: "Never: a failure fails the job",
  OnFailure: "OnFailure: restarted",
  Always: "Always: restarted",
  ExitCode: "ExitCode: restarted for exit codes from 128",
};
/** @type {Record<CleanPodPolicy, string>} */
const CLEAN = {
  Running: "Stop running replicas, keep ended ones",
  None: "Keep all replicas",
  PS: "Stop parameter servers only",
  All: "Remove all pods and their logs",
};

/**
 * @typedef {object} FormContext
 * @property {FormDraft} form
 * @property {FormMetadata} offer
 * @property {User} user
 * @property {Change} change
 * @property {() => void} onNamespace is called when another namespace is chosen
 */

/** @param {FormContext} context */
export function drawForm({ form, offer, user, change, onNamespace }) {
  const images = offer.images.map(({ reference, title }) => h("option", { value: reference }, title));
  const claims = offer.claims.map(({ name, size }) => h("option", { value: name }, size));
  const add = () => change(() => addType(form), `replicas[${form.replicas.length}].type`);
  const more = form.replicas.length < offer.replica_types.length;
  return [
    h("div", { class: "fields" }, nameField(form), user.admin && namespaceField(form, user, onNamespace)),
    form.replicas.map((_replica, index) => replicaCard(index, form, offer, change)),
    more && h("div", {}, h("button", { type: "button", onclick: add }, "Add a replica type")),
    volumesCard(form, offer, change),
    endCard(form.run_policy, offer),
    h("datalist", { id: "images" }, images),
    h("datalist", { id: "claims" }, claims),
  ];
}

/** @param {FormDraft} form */
function nameField(form) {
  return field({
    path: "name",
    label: "Name",
    input: textInput(form.name, { required: true }),
    help: "Lower-case letters, digits and -; begins with a letter.",
  });
}

/**
 * @param {FormDraft} form
 * @param {User} user
 * @param {() => void} onNamespace
 */
function namespaceField(form, user, onNamespace) {
  const names = user.namespaces.map(({ name }) => name);
  const labels = Object.fromEntries(
    user.namespaces.map(({ name, user: owner }) => [name, owner ? `${name} (${owner})` : name]),
  );
  const input = selectInput(form.namespace, names, labels, { onchange: onNamespace });
  return field({ path: "namespace", label: "Namespace", input, help: "The namespace of the user who owns the job." });
}

/**
 * @param {number} index of the replica type
 * @param {FormDraft} form
 * @param {FormMetadata} offer
 * @param {Change} change
 */
function replicaCard(index, form, offer, change) {
  const replica = form.replicas[index];
  const path = `replicas[${index}]`;
  const remove = {
    type: "button",
    class: "small",
    "aria-label": `Remove ${replica.type}`,
    onclick: () => change(() => form.replicas.splice(index, 1), "name"),
  };
  return h(
    "fieldset",
    { class: "card" },
    h("legend", { class: "unseen" }, `Replicas of type ${replica.type}`),
    h("div", { class: "head" }, h("h2", {}, replica.type), form.replicas.length > 1 && h("button", remove, "Remove")),
    countFields(replica, path, offer, change),
    programFields(replica, path),
    resourceFields(replica, path),
    variableRows(replica, path, change),
  );
}

/**
 * @param {ReplicaDraft} replica
 * @param {string} path
 * @param {FormMetadata} offer
 * @param {Change} change
 */
function countFields(replica, path, offer, change) {
  const redraw = () => change(() => {}, `${path}.type`);
  return h(
    "div",
    { class: "fields" },
    field({
      path: `${path}.type`,
      label: "Type",
      input: selectInput(replica.type, offer.replica_types, {}, { onchange: redraw }),
    }),
    field({
      path: `${path}.count`,
      label: "Replicas",
      input: numberInput(replica.count, isLeader(replica.type) ? { max: 1 } : {}),
    }),
    field({
      path: `${path}.restart_policy`,
      label: "When one fails",
      input: selectInput(replica.restart_policy, offer.restart_policies, RESTART),
    }),
  );
}

/**
 * @param {ReplicaDraft} replica
 * @param {string} path
 */
function programFields(replica, path) {
  return [
    field({
      path: `${path}.image`,
      label: "Image",
      input: textInput(replica.image, { list: "images", class: "mono" }),
    }),
    field({
      path: `${path}.command`,
      label: "Command",
      input: commandInput(replica.command, "python -u train.py"),
      help: "As in a shell: quotes work, variables and pipes do not. Empty: the image's own.",
    }),
    field({ path: `${path}.args`, label: "Arguments", input: commandInput(replica.args, "--steps 1000") }),
  ];
}

/**
 * @param {ReplicaDraft} replica
 * @param {string} path
 */
function resourceFields(replica, path) {
  const none = { placeholder: "no limit" };
  return h(
    "div",
    { class: "fields" },
    field({ path: `${path}.cpu`, label: "CPU", input: textInput(replica.cpu, none), help: "Cores: 2, 500m." }),
    field({ path: `${path}.memory`, label: "Memory", input: textInput(replica.memory, none), help: "512Mi, 2Gi." }),
    field({
      path: `${path}.gpu`,
      label: "GPUs",
      input: numberInput(replica.gpu, { placeholder: "0" }),
      help: "NVIDIA, per replica.",
    }),
  );
}

/**
 * @param {ReplicaDraft} replica
 * @param {string} path
 * @param {Change} change
 */
function variableRows(replica, path, change) {
  const { env } = replica;
  const add = () => change(() => env.push({ name: "", value: "" }), `${path}.env[${env.length}].name`);
  const rows = env.map(({ name, value }, index) =>
    h(
      "div",
      { class: "row" },
      field({ path: `${path}.env[${index}].name`, label: "Variable", input: textInput(name, { class: "mono" }) }),
      field({ path: `${path}.env[${index}].value`, label: "Value", input: textInput(value, { class: "mono" }) }),
      removeButton(`variable ${name}`, () => change(() => env.splice(index, 1), `${path}.args`)),
    ),
  );
  return rowsAndAdd(rows, "Add a variable", add);
}

/**
 * @param {HTMLElement[]} rows
 * @param {string} label
 * @param {() => void} onclick adds a row
 */
function rowsAndAdd(rows, label, onclick) {
  const add = h("button", { type: "button", class: "small", onclick }, label);
  return h("div", { class: "rows" }, rows, h("div", {}, add));
}

/**
 * @param {FormDraft} form
 * @param {FormMetadata} offer
 * @param {Change} change
 */
function volumesCard(form, offer, change) {
  const { volumes } = form;
  const claim = offer.claims[0]?.name || "";
  const path = volumes.length ? "" : offer.home_mount;
  const add = () => change(() => volumes.push({ claim, path, read_only: false }), `volumes[${volumes.length}].claim`);
  const rows = volumes.map((_volume, index) => volumeRow(index, form, change));
  return h(
    "fieldset",
    { class: "card" },
    h("legend", { class: "unseen" }, "Volumes"),
    h("h2", {}, "Volumes"),
    h("p", { class: "help" }, "Mounted in every replica."),
    rowsAndAdd(rows, "Add a volume", add),
  );
}

/**
 * @param {number} index of the volume
 * @param {FormDraft} form
 * @param {Change} change
 */
function volumeRow(index, form, change) {
  const volume = form.volumes[index];
  const at = `volumes[${index}]`;
  const readOnly = h("input", {
    type: "checkbox",
    "data-field": `${at}.read_only`,
    id: `${at}.read_only`,
    checked: volume.read_only,
  });
  const remove = () => change(() => form.volumes.splice(index, 1), "run_policy.cleanPodPolicy");
  return h(
    "div",
    { class: "row" },
    field({
      path: `${at}.claim`,
      label: "Claim",
      input: textInput(volume.claim, { list: "claims", class: "mono" }),
    }),
    h(
      "div",
      { class: "field" },
      field({
        path: `${at}.path`,
        label: "Folder in the replicas",
        input: textInput(volume.path, { class: "mono", placeholder: "/data" }),
      }),
      h("label", { class: "check small" }, readOnly, "Read only"),
    ),
    removeButton(`volume ${volume.claim}`, remove),
  );
}

/**
 * @param {PolicyDraft} policy
 * @param {FormMetadata} offer
 */
function endCard(policy, offer) {
  const number = (/** @type {PolicyNumber} */ name, /** @type {string} */ label, /** @type {string} */ help) => {
    const input = numberInput(policy[name], { placeholder: "no limit" });
    return field({ path: `run_policy.${name}`, label, help, input });
  };
  return h(
    "fieldset",
    { class: "card" },
    h("legend", { class: "unseen" }, "How it ends"),
    h("h2", {}, "How it ends"),
    field({
      path: "run_policy.cleanPodPolicy",
      label: "When the job has ended",
      input: selectInput(policy.cleanPodPolicy, offer.clean_pod_policies, CLEAN),
    }),
    h(
      "div",
      { class: "fields" },
      number("backoffLimit", "Most restarts", "Of all replicas together; after them the job fails."),
      number("activeDeadlineSeconds", "Time limit (s)", "After this time the job fails."),
      number("ttlSecondsAfterFinished", "Keep for (s)", "Time from its end to its deletion."),
    ),
  );
}
