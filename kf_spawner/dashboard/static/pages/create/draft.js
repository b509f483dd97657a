// The input of the create form as data: stored, sent, and drawn.
// Field paths are those of the REST interface.

/** @import { CleanPodPolicy, FormMetadata, ReplicaType, RestartPolicy, User } from "../../api/wire" */

/**
 * Everything that is typed is a text.
 *
 * @typedef {object} ReplicaDraft
 * @property {ReplicaType} type
 * @property {string} count
 * @property {string} image
 * @property {string} command
 * @property {string} args
 * @property {RestartPolicy} restart_policy
 * @property {string} cpu
 * @property {string} memory
 * @property {string} gpu
 * @property {Array<{ name: string, value: string }>} env
 */
/** @typedef {{ claim: string, path: string, read_only: boolean }} VolumeDraft */
/** @typedef {"backoffLimit" | "activeDeadlineSeconds" | "ttlSecondsAfterFinished"} PolicyNumber */
/** @typedef {Record<PolicyNumber, string> & { cleanPodPolicy: CleanPodPolicy }} PolicyDraft */
/**
 * @typedef {object} FormDraft
 * @property {string} name
 * @property {string} namespace
 * @property {ReplicaDraft[]} replicas
 * @property {VolumeDraft[]} volumes
 * @property {PolicyDraft} run_policy
 */
/** @typedef {{ mode: "form" | "manifest", yaml: string, form: FormDraft }} Draft */

/** @type {ReplicaType[]} the order in which they are offered */
const ORDER = ["Worker", "PS", "Chief", "Evaluator", "Master"];
/** @type {ReplicaType[]} */
const LEADERS = ["Chief", "Master"];
/** @type {PolicyNumber[]} */
const POLICY_NUMBERS = ["backoffLimit", "activeDeadlineSeconds", "ttlSecondsAfterFinished"];

/**
 * @param {Partial<ReplicaDraft>} values
 * @returns {ReplicaDraft}
 */
function replicaDraft(values) {
  return {
    type: "Worker",
    count: "1",
    image: "",
    command: "",
    args: "",
    restart_policy: "Never",
    cpu: "",
    memory: "",
    gpu: "",
    env: [],
    ...values,
  };
}

/**
 * @param {User} user
 * @param {FormMetadata} offer
 * @returns {Draft}
 */
export function emptyDraft(user, offer) {
  return {
    mode: "form",
    yaml: "",
    form: {
      name: "",
      namespace: user.namespace,
      replicas: [replicaDraft({ image: offer.images[0]?.reference || "" })],
      volumes: [],
      run_policy: {
        cleanPodPolicy: "Running",
        backoffLimit: "",
        activeDeadlineSeconds: "",
        ttlSecondsAfterFinished: "",
      },
    },
  };
}

/**
 * A job with output within a minute: two workers print their TF_CONFIG and count.
 *
 * @param {User} user
 * @param {FormMetadata} offer
 */
export function exampleDraft(user, offer) {
  const draft = emptyDraft(user, offer);
  draft.form.name = "hello";
  Object.assign(draft.form.replicas[0], {
    count: "2",
    command: `python -u -c "import os, time; print(os.environ['TF_CONFIG']); [print('step', n) or time.sleep(1) for n in range(30)]"`,
  });
  return draft;
}

/**
 * Adds a missing replica type as a copy of the first: most programs are the same in all replicas.
 *
 * @param {FormDraft} form
 */
export function addType(form) {
  const taken = new Set(form.replicas.map(({ type }) => type));
  const type = ORDER.find((one) => !taken.has(one)) || ORDER[0];
  const like = form.replicas[0] || {};
  form.replicas.push(replicaDraft({ ...structuredClone(like), type, count: "1" }));
}

/**
 * Whether a job has at most one replica of the type.
 *
 * @param {ReplicaType} type
 */
export function isLeader(type) {
  return LEADERS.includes(type);
}

/**
 * Reads the inputs below `root` into the draft.
 *
 * @param {Draft} draft
 * @param {Element} root
 */
export function readInto(draft, root) {
  /** @type {NodeListOf<HTMLInputElement>} */
  const inputs = root.querySelectorAll("[data-field]");
  for (const input of inputs) {
    const path = input.dataset.field || "";
    if (path === "yaml") draft.yaml = input.value;
    else assign(draft.form, path, input.type === "checkbox" ? input.checked : input.value);
  }
}

/**
 * `replicas[0].env[1].name` of `target` becomes `value`.
 *
 * @param {object} target
 * @param {string} path
 * @param {string | boolean} value
 */
function assign(target, path, value) {
  const keys = path.split(/[.[\]]+/).filter(Boolean);
  const last = keys.pop() || "";
  const parent = keys.reduce((/** @type {any} */ at, key) => at?.[key], target);
  if (parent) parent[last] = value;
}

/**
 * Removes rows that were added and left empty.
 *
 * @param {FormDraft} form
 */
export function removeEmptyRows(form) {
  for (const replica of form.replicas) replica.env = replica.env.filter(({ name, value }) => name || value);
  form.volumes = form.volumes.filter(({ claim, path }) => claim || path);
}

/**
 * The draft's form as the REST interface takes it: numbers are numbers.
 *
 * @param {Draft} draft
 */
export function formOf({ form }) {
  const numbers = POLICY_NUMBERS.map((name) => [name, numberOf(form.run_policy[name])]);
  return {
    ...form,
    run_policy: { ...form.run_policy, ...Object.fromEntries(numbers) },
    replicas: form.replicas.map((replica) => ({
      ...replica,
      count: numberOf(replica.count),
      gpu: numberOf(replica.gpu),
    })),
  };
}

/**
 * A number; null for an empty text, and the text itself if it is not a number: the server reports it.
 *
 * @param {string} text
 */
function numberOf(text) {
  if (text === "") return null;
  return Number.isNaN(Number(text)) ? text : Number(text);
}
