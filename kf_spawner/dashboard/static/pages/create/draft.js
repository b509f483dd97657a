// What has been typed into the create form, as data: kept, sent, drawn from.
// Field paths are those of the REST interface.

const ORDER = ["Worker", "PS", "Chief", "Evaluator", "Master"];
const LEADERS = new Set(["Chief", "Master"]);

export const replicaDraft = (values = {}) => ({
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
});

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

/** A job that shows something within a minute: two workers that say who they are and count. */
export function exampleDraft(user, offer) {
  const draft = emptyDraft(user, offer);
  draft.form.name = "hello";
  Object.assign(draft.form.replicas[0], {
    count: "2",
    command: `python -u -c "import os, time; print(os.environ['TF_CONFIG']); [print('step', n) or time.sleep(1) for n in range(30)]"`,
  });
  return draft;
}

/** One more replica type, of those that are not there; like the first, as most programs are the same everywhere. */
export function addType(form) {
  const taken = new Set(form.replicas.map(({ type }) => type));
  const type = ORDER.find((one) => !taken.has(one)) || ORDER[0];
  const like = form.replicas[0] || {};
  form.replicas.push(replicaDraft({ ...structuredClone(like), type, count: "1" }));
}

export const isLeader = (type) => LEADERS.has(type);

/** Puts what the inputs below `root` say into the draft. */
export function readInto(draft, root) {
  for (const input of root.querySelectorAll("[data-field]")) {
    const value = input.type === "checkbox" ? input.checked : input.value;
    if (input.dataset.field === "yaml") draft.yaml = value;
    else assign(draft.form, input.dataset.field, value);
  }
}

/** `replicas[0].env[1].name` of `target` becomes `value`. */
function assign(target, path, value) {
  const keys = path.split(/[.[\]]+/).filter(Boolean);
  const last = keys.pop();
  const place = keys.reduce((at, key) => at?.[key], target);
  if (place) place[last] = value;
}

/** The draft's form as the REST interface takes it: numbers are numbers. */
export function formOf({ form }) {
  const policy = { ...form.run_policy };
  for (const name of ["backoffLimit", "activeDeadlineSeconds", "ttlSecondsAfterFinished"]) {
    policy[name] = number(policy[name]);
  }
  return {
    ...form,
    run_policy: policy,
    replicas: form.replicas.map((replica) => ({
      ...replica,
      count: number(replica.count),
      gpu: number(replica.gpu),
    })),
  };
}

const number = (text) => (text === "" ? null : Number.isNaN(Number(text)) ? text : Number(text));
