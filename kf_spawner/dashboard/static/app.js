// From an address to its page.

import { asApiError, get } from "./api/client.js";
import { byId, fill, h } from "./common/dom.js";
import { ago } from "./common/format.js";
import { showConnection } from "./common/notify.js";
import { problem } from "./common/problem.js";
import { CreatePage } from "./pages/create/create.js";
import { DetailPage } from "./pages/detail/detail.js";
import { ListPage } from "./pages/list/list.js";

/** @import { User } from "./api/wire" */

/**
 * What every page gets.
 *
 * @typedef {object} PageContext
 * @property {Record<string, string>} parameters the named parts of the address
 * @property {URLSearchParams} query
 * @property {User} user
 * @property {(path: string) => void} go shows another page
 */
/** @typedef {{ stop(): void }} Page `stop` is called when another page is shown */
/** @typedef {new (main: HTMLElement, context: PageContext) => Page} PageClass */

const BASE = new URL(document.baseURI).pathname;
/** @type {[RegExp, PageClass][]} */
const ROUTES = [
  [/^$/, ListPage],
  [/^new$/, CreatePage],
  [/^jobs\/(?<namespace>[^/]+)\/(?<name>[^/]+)(?:\/(?<tab>logs|manifest))?$/, DetailPage],
];
const main = byId("main");

class App {
  /** @type {Page | null} */
  #page = null;
  #user;

  /** @param {User} user */
  constructor(user) {
    this.#user = user;
    document.addEventListener("click", (event) => this.#onClick(event));
    addEventListener("popstate", () => this.show());
  }

  /**
   * Shows the page at an address of the dashboard, such as `jobs/kf-ann/mnist/logs`.
   *
   * @param {string} path
   */
  go(path) {
    history.pushState(null, "", BASE + path);
    this.show();
    focusHeading();
  }

  /** Shows the page of the browser's address. */
  show() {
    this.#page?.stop();
    this.#page = null;
    showConnection(null);
    const path = decodeURI(location.pathname.slice(BASE.length));
    const query = new URLSearchParams(location.search);
    for (const [pattern, PageOfRoute] of ROUTES) {
      const found = pattern.exec(path);
      if (!found) continue;
      main.replaceChildren();
      const go = this.go.bind(this);
      this.#page = new PageOfRoute(main, { parameters: found.groups || {}, query, user: this.#user, go });
      return;
    }
    document.title = "Not found – TFJobs";
    fill(
      main,
      h("h1", { tabindex: -1 }, "This page does not exist"),
      h("p", {}, h("a", { href: BASE }, "All TFJobs")),
    );
  }

  /**
   * Follows a link within the dashboard without a new document.
   *
   * @param {MouseEvent} event
   */
  #onClick(event) {
    const target = event.target instanceof Element ? event.target : null;
    /** @type {HTMLAnchorElement | null | undefined} */
    const link = target?.closest("a[data-nav], a[data-skip]");
    if (!link || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    if ("skip" in link.dataset) return focusHeading();
    history.pushState(null, "", link.href);
    this.show();
    focusHeading();
  }
}

function focusHeading() {
  scrollTo(0, 0);
  (main.querySelector("h1") || main).focus({ preventScroll: true });
}

/** Keeps the ages on the page true. */
function updateAges() {
  /** @type {NodeListOf<HTMLTimeElement>} */
  const times = document.querySelectorAll("time[data-ago]");
  for (const time of times) time.textContent = ago(time.dateTime);
}

setInterval(updateAges, 1000);
try {
  new App(await get("user")).show();
} catch (error) {
  fill(main, problem(asApiError(error), "The dashboard could not be opened"));
}
