// How a job's and a replica's states look: one of five tones, the same everywhere.

import { h } from "./dom.js";

const TONES = {
  Succeeded: "is-good",
  Running: "is-busy",
  Failed: "is-bad",
  Restarting: "is-warn",
  Waiting: "is-warn",
  Unschedulable: "is-warn",
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

/** Whether the message is about something that the owner should know: a failure, a restart, something missing. */
export const hasTrouble = (job) => !QUIET_REASONS.has(job.reason || "");

export function toneOf(state, troubled = false) {
  return TONES[state] || (troubled ? "is-warn" : "");
}

/** The state as a word on a coloured ground. */
export const badge = (state, troubled = false) => h("span", { class: `state ${toneOf(state, troubled)}` }, state);

/** The state of a job; while it is deleted, that. */
export function jobBadge(job) {
  return job.deleting ? badge("Deleting", true) : badge(job.state, hasTrouble(job));
}

const PARTS = ["succeeded", "active", "failed"];

/** A bar of how many of the `wanted` replicas (by type) have succeeded, are active, have failed. */
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

/** "2 active, 1 failed". */
export function inWords(counts) {
  const said = ["active", "succeeded", "failed"]
    .filter((part) => counts[part])
    .map((part) => `${counts[part]} ${part}`);
  return said.join(", ") || "none active";
}
