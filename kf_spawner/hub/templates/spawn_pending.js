// The progress of a server's start, as the hub sends it, and the button that stops it. Included in spawn_pending.html.

/**
 * What the hub sends: https://jupyterhub.readthedocs.io/en/stable/reference/rest-api.html
 *
 * @typedef {object} StartEvent
 * @property {number} [progress] in percent
 * @property {string} [message]
 * @property {string} [html_message] the message as HTML, which the spawner has escaped
 * @property {boolean} [ready]
 * @property {boolean} [failed]
 */

const byId = (/** @type {string} */ id) => /** @type {HTMLElement} */ (document.getElementById(id));
const bar = byId("progress-bar");
const log = byId("progress-log");
const stop = /** @type {HTMLButtonElement} */ (byId("stop-server"));
const source = new EventSource(log.dataset.url || "");

/** @param {number} percent */
function showPercent(percent) {
  bar.style.width = `${percent}%`;
  bar.setAttribute("aria-valuenow", String(percent));
}

/** @param {string} message */
function addLine(message) {
  log.lastElementChild?.classList.add("text-body-secondary", "small");
  const line = document.createElement("li");
  line.className = "progress-log-event";
  line.textContent = message;
  log.append(line);
}

/** @param {StartEvent} event */
function showFailure({ message, html_message: html }) {
  source.close();
  bar.classList.remove("progress-bar-animated", "progress-bar-striped");
  bar.classList.add("bg-danger");
  byId("pending-title").textContent = "Your notebook server did not start";
  if (html) byId("failed").innerHTML = html;
  else byId("failed").textContent = message || "";
  byId("failed").classList.remove("hidden");
  byId("try-again").classList.remove("hidden");
  stop.classList.add("hidden");
}

source.onmessage = ({ data }) => {
  /** @type {StartEvent} */
  const event = JSON.parse(data);
  if (event.progress !== undefined) showPercent(event.progress);
  if (event.failed) return showFailure(event);
  if (event.message) addLine(event.message);
  if (event.ready) {
    source.close();
    location.reload();
  }
};

require(["jhapi"], (JHAPI) => {
  stop.addEventListener("click", () => {
    stop.disabled = true;
    byId("stopping").textContent = "Stopping…";
    new JHAPI(window.jhdata.base_url).stop_server(stop.dataset.user || "", {
      success: () => location.reload(),
      error: (response) => {
        stop.disabled = false;
        byId("stopping").textContent = response.responseJSON?.message || "It could not be stopped.";
      },
    });
  });
  window._jupyterhub_page_loaded = true;
});

export {};
