// All requests to the dashboard's REST interface, below `api/`. Every failure is an ApiError with words for a person.

/** @import { ErrorBody, FieldProblem } from "./wire" */

export class ApiError extends Error {
  /** @param {Partial<ErrorBody> & { status?: number, message: string }} answer */
  constructor({ status = 0, reason = "", message, field, errors }) {
    super(message);
    /** The HTTP status; 0 where there was no answer. */
    this.status = status;
    this.reason = reason;
    /** @type {FieldProblem[]} what is wrong in what was sent */
    this.fields = errors || (field ? [{ field, message }] : []);
    /** Whether the same request may succeed later. */
    this.retry = status === 0 || status === 401 || status >= 500;
  }
}

const SILENCE = 40_000; // ms; the server sends something every 15 s

/**
 * The ApiError that was caught; any other error is a mistake in these scripts and is thrown again.
 *
 * @param {unknown} error
 * @returns {ApiError}
 */
export function asApiError(error) {
  if (error instanceof ApiError) return error;
  throw error;
}

/**
 * @param {string} path
 * @returns {Promise<any>} the answer; the caller knows its type
 */
export async function get(path) {
  return (await request("GET", path)).json();
}

/**
 * @param {"POST" | "PATCH" | "DELETE"} method
 * @param {string} path
 * @param {object} [body]
 * @returns {Promise<any>} the answer; the caller knows its type
 */
export async function send(method, path, body) {
  return (await request(method, path, body)).json();
}

/**
 * The address of a job, below `api/` and below the dashboard's own pages.
 *
 * @param {{ namespace: string, name: string }} job
 */
export function jobPath({ namespace, name }) {
  return `jobs/${encodeURIComponent(namespace)}/${encodeURIComponent(name)}`;
}

/**
 * The objects of a newline-delimited JSON stream as they come, until it ends or `signal` aborts it.
 *
 * @param {string} path
 * @param {AbortSignal} signal
 */
export async function* jsonLines(path, signal) {
  const response = await request("GET", path, undefined, signal);
  if (!response.body) return;
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await unlessSilent(reader.read(), signal);
      if (done) return;
      const lines = (rest + value).split("\n");
      rest = lines.pop() || "";
      for (const line of lines) if (line) yield JSON.parse(line);
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

/**
 * The result of `reading`; a connection that breaks or is silent for too long is an ApiError.
 *
 * @template Result
 * @param {Promise<Result>} reading
 * @param {AbortSignal} signal
 * @returns {Promise<Result>}
 */
async function unlessSilent(reading, signal) {
  let timer = 0;
  const silence = new Promise((_resolve, reject) => {
    timer = setTimeout(() => reject(unreachable()), SILENCE);
  });
  try {
    return await Promise.race([reading, silence]);
  } catch (error) {
    throw signal.aborted ? error : unreachable();
  } finally {
    clearTimeout(timer);
  }
}

/**
 * @param {string} method
 * @param {string} path
 * @param {object} [body]
 * @param {AbortSignal} [signal]
 */
async function request(method, path, body, signal) {
  const headers = new Headers({ Accept: "application/json", "X-XSRFToken": cookie("_xsrf") });
  if (body !== undefined) headers.set("Content-Type", "application/json");
  let response;
  try {
    response = await fetch(`api/${path}`, {
      method,
      headers,
      signal,
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (error) {
    throw signal?.aborted ? error : unreachable();
  }
  if (!response.ok) throw await refusal(response);
  return response;
}

function unreachable() {
  return new ApiError({ reason: "Unreachable", message: "The dashboard does not answer: check that it runs." });
}

/** @param {Response} response */
async function refusal(response) {
  const { status } = response;
  try {
    return new ApiError({ ...(await response.json()), status });
  } catch {
    if (status >= 502) return unreachable(); // a proxy in front of it says so
    return new ApiError({ status, message: `The dashboard answered ${status} and gave no reason.` });
  }
}

/** @param {string} name */
function cookie(name) {
  const found = document.cookie.split("; ").find((entry) => entry.startsWith(`${name}=`));
  return found ? decodeURIComponent(found.slice(name.length + 1)) : "";
}
