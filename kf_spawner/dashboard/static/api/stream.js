// A stream that is taken up again when it breaks, until it is stopped.

import { jsonLines } from "./client.js";
import { showConnection } from "../common/notify.js";

const PAUSES = [500, 1000, 2000, 4000, 8000]; // ms

/**
 * Calls `onItem(item)` for all that comes from `path()`, and `onError(error)` once if asking again will not help.
 * A stream that ends is asked for again, unless `once`. Gives a function that ends it.
 */
export function openStream(path, { onItem, onError, once = false }) {
  const stop = new AbortController();
  run(path, { onItem, onError, once, signal: stop.signal });
  return () => stop.abort();
}

async function run(path, { onItem, onError, once, signal }) {
  let failures = 0;
  while (!signal.aborted) {
    try {
      for await (const item of jsonLines(path(), signal)) {
        if (signal.aborted) return;
        if (failures) showConnection(null);
        failures = 0;
        onItem(item);
      }
      if (once) return;
    } catch (error) {
      if (signal.aborted) return;
      if (!error.retry || error.status === 401) return onError(error);
      showConnection(`${error.message} Trying again…`);
    }
    await pause(PAUSES[Math.min(failures++, PAUSES.length - 1)], signal);
  }
}

const pause = (time, signal) =>
  new Promise((resolve) => {
    setTimeout(resolve, time);
    signal.addEventListener("abort", resolve, { once: true });
  });
