// All requests to the dashboard's REST interface, below `api/`. Every failure is an ApiError with words for a person.

export class ApiError extends Error {
  /** `field` is the path of what is wrong in what was sent; `fields` are all of them: [{field, message}]. */
  constructor({ status = 0, reason = "", message, field = null, errors = null }) {
    super(message);
    Object.assign(this, { status, reason, field });
    this.fields = errors || (field ? [{ field, message }] : []);
    this.retry = status === 0 || status === 401 || status >= 500;
  }
}

const SILENCE = 40_000; // ms; the server says something every 15 s

export const get = async (path) => (await request("GET", path)).json();
export const send = async (method, path, body) => (await request(method, path, body)).json();

/** The address of a job below `api/`, with what follows it. */
export const jobPath = (job, ...rest) => ["jobs", job.namespace, job.name, ...rest].map(encodeURIComponent).join("/");

/** The objects of a newline-delimited JSON stream as they come, until it ends or `signal` aborts it. */
export async function* jsonLines(path, signal) {
  const response = await request("GET", path, undefined, signal);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await heard(reader.read(), signal);
      if (done) return;
      const lines = (rest + value).split("\n");
      rest = lines.pop();
      for (const line of lines) if (line) yield JSON.parse(line);
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

/** What `reading` gives; a connection that breaks or says nothing for too long is an ApiError. */
async function heard(reading, signal) {
  let timer;
  const silence = new Promise((_resolve, reject) => {
    timer = setTimeout(() => reject(lost()), SILENCE);
  });
  try {
    return await Promise.race([reading, silence]);
  } catch (error) {
    throw signal?.aborted ? error : lost();
  } finally {
    clearTimeout(timer);
  }
}

async function request(method, path, body, signal) {
  const headers = { Accept: "application/json", "X-XSRFToken": cookie("_xsrf") };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(`api/${path}`, {
      method,
      headers,
      signal,
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (error) {
    throw signal?.aborted ? error : lost();
  }
  if (!response.ok) throw await refusal(response);
  return response;
}

const lost = () =>
  new ApiError({ reason: "Unreachable", message: "The dashboard cannot be reached: is it running?" });

async function refusal(response) {
  const { status } = response;
  try {
    return new ApiError({ ...(await response.json()), status });
  } catch {
    if (status >= 502) return lost(); // what stands in front of it says so
    return new ApiError({ status, message: `The dashboard answered ${status} and gave no reason.` });
  }
}

function cookie(name) {
  const found = document.cookie.split("; ").find((entry) => entry.startsWith(`${name}=`));
  return found ? decodeURIComponent(found.slice(name.length + 1)) : "";
}
