// A stream that is opened again when it breaks, until it is stopped.

import { ApiError, jsonLines } from "./client.js";
import { showConnection } from "../common/notify.js";

const PAUSES = [500, 1000, 2000, 4000, 8000]; // ms

/**
 * @template Item
 * @typedef {object} Listener
 * @property {(item: Item) => void} onItem is called for each item but those that every stream has: ping and error
 * @property {(error: ApiError) => void} onError is called once, when asking again will not help
 */

/**
 * Reads the stream at `path()`, and opens it again when it ends or breaks. Gives a function that stops it.
 *
 * @template Item
 * @param {() => string} path
 * @param {Listener<Item>} listener
 */
export function openStream(path, listener) {
  const stop = new AbortController();
  run(path, listener, stop.signal);
  return () => stop.abort();
}

/**
 * @template Item
 * @param {() => string} path
 * @param {Listener<Item>} listener
 * @param {AbortSignal} signal
 */
async function run(path, { onItem, onError }, signal) {
  let failures = 0;
  while (!signal.aborted) {
    try {
      for await (const item of jsonLines(path(), signal)) {
        if (signal.aborted) return;
        if (failures) showConnection(null);
        failures = 0;
        if (item.type !== "ping" && item.type !== "error") onItem(item);
      }
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof ApiError)) throw error;
      if (!error.retry || error.status === 401) return onError(error);
      showConnection(`${error.message} Trying again…`);
    }
    await pause(PAUSES[Math.min(failures++, PAUSES.length - 1)], signal);
  }
}

/**
 * @param {number} time in ms
 * @param {AbortSignal} signal ends it early
 */
function pause(time, signal) {
  return new Promise((resolve) => {
    setTimeout(resolve, time);
    signal.addEventListener("abort", resolve, { once: true });
  });
}
