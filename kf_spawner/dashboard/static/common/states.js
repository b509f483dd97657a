// The looks of the states of jobs and replicas: five tones, the same everywhere.

import { h } from "./dom.js";

/** @import { JobRow, JobState, ReplicaCounts, ReplicaState } from "../api/wire" */

/** @satisfies {Partial<Record<JobState | ReplicaState, string>>} */
const TONES = {
  Succeeded: "is-good",
  Running: "is-busy",
  Failed: "is-bad",
  Restarting: "is-warn",
  Waiting: "is-warn",
  Terminating: "is-warn",
};
const QUIET_REASONS = new Set([
  "",
  "TFJobCreated",
  "TFJobRunning",
  "TFJobSucceeded",
  "TFJobSuspended",
  "TFJobResumed",
]);

/**
 * Whether the owner should read the message: a failure, a restart, something missing.
 *
 * @param {Pick<JobRow, "reason">} job
 */
export function hasTrouble(job) {
  return !QUIET_REASONS.has(job.reason);
}

/**
 * @param {string} state of a job or a replica, or a condition's type
 * @param {boolean} troubled
 */
export function toneOf(state, troubled = false) {
  return TONES[/** @type {keyof typeof TONES} */ (state)] || (troubled ? "is-warn" : "");
}

/**
 * The state as a word on a coloured ground.
 *
 * @param {string} state
 * @param {boolean} troubled
 */
export function badge(state, troubled = false) {
  return h("span", { class: `state ${toneOf(state, troubled)}` }, state);
}

/**
 * The state of a job, or that it is being deleted.
 *
 * @param {Pick<JobRow, "state" | "reason" | "deleting">} job
 */
export function jobBadge(job) {
  return job.deleting ? badge("Deleting", true) : badge(job.state, hasTrouble(job));
}

/** @type {Array<keyof ReplicaCounts>} */
const PARTS = ["succeeded", "active", "failed"];

/**
 * A bar of how many of the `wanted` replicas (by type) have succeeded, are active, have failed.
 *
 * @param {Record<string, number>} wanted
 * @param {ReplicaCounts} counts
 */
export function meter(wanted, counts) {
  const bar = h("span", { class: "meter", "aria-hidden": "true" });
  const known = PARTS.reduce((sum, part) => sum + counts[part], 0);
  const whole = Math.max(
    Object.values(wanted).reduce((sum, number) => sum + number, 0),
    known,
    1,
  );
  for (const part of PARTS) {
    const piece = h("i", { class: part });
    piece.style.width = `${(100 * counts[part]) / whole}%`;
    bar.append(piece);
  }
  return bar;
}

/**
 * "2 active, 1 failed".
 *
 * @param {ReplicaCounts} counts
 */
export function inWords({ active, succeeded, failed }) {
  const parts = Object.entries({ active, succeeded, failed }).filter(([, number]) => number);
  return parts.map(([name, number]) => `${number} ${name}`).join(", ") || "none active";
}
