// One replica's log: the last lines. It follows the end unless the reader has scrolled up or paused.

import { fill, h } from "../../common/dom.js";
import { clock } from "../../common/format.js";
import { badge } from "../../common/states.js";

/** @import { LogLine, ReplicaState } from "../../api/wire" */

const MOST = 2000; // lines kept on the page; a download has all
const PACE = 100; // ms between two drawings, however much arrives
const NEAR = 24; // px from the end that still count as the end
/** @type {ReplicaState} the state of a replica of an ended job whose pod was removed */
const GONE = "No pod";
// eslint-disable-next-line no-control-regex -- terminals' colours and cursor moves begin with it
const ESCAPES = /\u001b\[[0-9;?]*[A-Za-z]/g;

export class LogPane {
  /** @type {LogLine[]} */
  #waiting = [];
  #timer = 0;
  #held = false;
  /** The time of the last line drawn, if more pieces of it follow. */
  #begun = "";
  #state = h("span");
  #text;
  #save;

  /**
   * @param {string} replica
   * @param {{ download: string, alone: boolean }} options `download`: the address of the whole log
   */
  constructor(replica, { download, alone }) {
    this.#text = h("pre", { tabindex: 0, role: "log", "aria-live": "off", "aria-label": `Log of ${replica}` });
    const label = `Download the log of ${replica}`;
    this.#save = h("a", { class: "button small", href: download, download: "", "aria-label": label }, "Download");
    const head = h("header", {}, h("h3", {}, replica), this.#state, this.#save);
    this.element = h("article", { class: alone ? "log alone" : "log" }, head, this.#text);
  }

  /** How many lines wait to be shown while the pane is held. */
  get waiting() {
    return this.#held ? this.#waiting.length : 0;
  }

  /** @param {LogLine} line */
  add(line) {
    this.#waiting.push(line);
    if (this.#waiting.length > MOST) this.#waiting.shift();
    this.#schedule();
  }

  /** @param {boolean} on whether new lines wait */
  hold(on) {
    this.#held = on;
    this.#schedule();
  }

  /** @param {ReplicaState | undefined} state */
  setState(state) {
    fill(this.#state, state && badge(state));
    this.#save.hidden = state === GONE;
    this.#text.dataset.empty = state === GONE ? "The pod was deleted, and its log with it." : "No line yet.";
  }

  #schedule() {
    if (this.#timer || this.#held || !this.#waiting.length) return;
    this.#timer = setTimeout(() => this.#draw(), PACE);
  }

  #draw() {
    this.#timer = 0;
    if (this.#held) return;
    const text = this.#text;
    const atEnd = text.scrollHeight - text.scrollTop - text.clientHeight < NEAR;
    for (const line of this.#waiting.splice(0)) {
      text.append(lineElement(line, this.#begun));
      this.#begun = line.continues ? line.time : "";
    }
    while (text.childElementCount > MOST) text.firstElementChild?.remove();
    if (atEnd) text.scrollTop = text.scrollHeight;
  }
}

/**
 * @param {LogLine} line a line or a piece of one
 * @param {string} begun the time of the piece before it, whose line goes on; else empty
 */
function lineElement({ time, line, continues }, begun) {
  const continued = begun !== "" && begun === time; // all pieces have the time of their line
  const shown = line.replace(ESCAPES, "").replace(/\r$/, "").replace(/^.*\r/, "");
  return h(
    "span",
    { class: time ? null : "note" },
    begun && !continued && "\n",
    time && !continued && h("i", { class: "time" }, `${clock(time)} `),
    continues ? shown : `${shown}\n`,
  );
}
