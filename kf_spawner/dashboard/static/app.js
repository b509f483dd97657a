// The way from an address to a view.
// A view is `show(main, {parameters, query, user, go})` and gives a function that ends it.

import * as api from "./api/client.js";
import { showCreate } from "./pages/create/create.js";
import { showDetail } from "./pages/detail/detail.js";
import { fill, h } from "./common/dom.js";
import { ago } from "./common/format.js";
import { showList } from "./pages/list.js";
import { problem } from "./common/problem.js";
import { showConnection } from "./common/notify.js";

const BASE = new URL(document.baseURI).pathname;
const ROUTES = [
  [/^$/, showList],
  [/^new$/, showCreate],
  [/^jobs\/(?<namespace>[^/]+)\/(?<name>[^/]+)(?:\/(?<tab>logs|manifest))?$/, showDetail],
];
const main = document.getElementById("main");
let user = null;
let end = () => {};

/** Shows the page at an address of the dashboard, such as `jobs/kf-ann/mnist/logs`. */
function go(path) {
  history.pushState(null, "", BASE + path);
  show();
  focusHeading();
}

function show() {
  end();
  showConnection(null);
  const path = decodeURI(location.pathname.slice(BASE.length));
  const query = new URLSearchParams(location.search);
  for (const [pattern, view] of ROUTES) {
    const found = pattern.exec(path);
    if (!found) continue;
    main.replaceChildren();
    end = view(main, { parameters: found.groups || {}, query, user, go });
    return;
  }
  end = () => {};
  document.title = "Not found – TFJobs";
  fill(main, h("h1", { tabindex: -1 }, "There is no such page"), h("p", {}, h("a", { href: BASE }, "All TFJobs")));
}

function focusHeading() {
  scrollTo(0, 0);
  (main.querySelector("h1") || main).focus({ preventScroll: true });
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-nav], a[data-skip]");
  if (!link || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  if ("skip" in link.dataset) return focusHeading();
  history.pushState(null, "", link.href);
  show();
  focusHeading();
});
addEventListener("popstate", show);
setInterval(() => {
  for (const time of document.querySelectorAll("time[data-ago]")) time.textContent = ago(time.dateTime);
}, 1000);

try {
  user = await api.get("user");
  show();
} catch (error) {
  fill(main, problem(error, "The dashboard could not be opened"));
}
