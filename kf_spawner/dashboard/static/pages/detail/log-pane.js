// One replica's log: the last lines, following the end unless the reader has scrolled up or paused.

import { fill, h } from "../../common/dom.js";
import { clock } from "../../common/format.js";
import { badge } from "../../common/states.js";

const MOST = 2000; // lines kept on the page; a download has all
const PACE = 100; // ms between two drawings, whatever comes
const NEAR = 24; // px from the end that still count as the end
const GONE = "No pod"; // the state of a replica of an ended job whose pod was cleaned up
const ESCAPES = /\u001b\[[0-9;?]*[A-Za-z]/g; // terminals' colours and cursor moves

export function logPane({ replica, download, alone }) {
  const state = h("span");
  const text = h("pre", { tabindex: 0, role: "log", "aria-live": "off", "aria-label": `Log of ${replica}` });
  const save = h(
    "a",
    { class: "button small", href: download, download: "", "aria-label": `Download the log of ${replica}` },
    "Download",
  );
  const waiting = [];
  let timer = 0;
  let holding = false;

  function draw() {
    timer = 0;
    if (holding) return;
    const atEnd = text.scrollHeight - text.scrollTop - text.clientHeight < NEAR;
    text.append(...waiting.splice(0).slice(-MOST).map(lineOf));
    while (text.childElementCount > MOST) text.firstElementChild.remove();
    if (atEnd) text.scrollTop = text.scrollHeight;
  }

  const schedule = () => {
    if (!timer && !holding && waiting.length) timer = setTimeout(draw, PACE);
  };

  return {
    element: h(
      "article",
      { class: alone ? "log alone" : "log" },
      h("header", {}, h("h3", {}, replica), state, save),
      text,
    ),
    add(line) {
      waiting.push(line);
      if (waiting.length > MOST) waiting.shift();
      schedule();
    },
    hold(on) {
      holding = on;
      schedule();
    },
    setState(word) {
      fill(state, word && badge(word));
      save.hidden = word === GONE;
      text.dataset.empty = word === GONE ? "The pod is gone, and its log with it." : "No line yet.";
    },
    get held() {
      return holding ? waiting.length : 0;
    },
  };
}

function lineOf({ time, line }) {
  const shown = line.replace(ESCAPES, "").replace(/\r$/, "").replace(/^.*\r/, "");
  return h(
    "span",
    { class: time ? null : "note" },
    time && h("i", { class: "time" }, `${clock(time)} `),
    `${shown}\n`,
  );
}
