// Calls of the service's gRPC methods, with the token of this tab. Field names are those of the protos.

// Not a cookie: those go to every port of a machine. This one ends with the tab and is no other origin's.
const TOKEN = "becas-token";
const RECONNECT_SECONDS = 2;

let csrf;

export class CallError extends Error {
  constructor(status, {code = "", message = "", reason = "", fields = {}}) {
    const said = Object.entries(fields).map(([field, problem]) => `${field}: ${problem}`);
    super(said.length ? said.join("; ") : message || `HTTP ${status}`);
    Object.assign(this, {status, code, reason});
  }
}

export const signedIn = () => sessionStorage.getItem(TOKEN) !== null;
export const signIn = (token) => sessionStorage.setItem(TOKEN, token);
export const signOut = () => sessionStorage.removeItem(TOKEN);

async function session() {
  const response = await reach("session", {});
  if (!response.ok) throw new CallError(response.status, await problem(response));
  ({csrf} = await response.json());
}

async function reach(path, options) {
  try {
    return await fetch(path, {cache: "no-store", credentials: "omit", ...options});
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new CallError(0, {code: "UNREACHABLE", message: "the server does not answer: is `becas-ft serve` running?"});
  }
}

async function problem(response) {
  try {
    return await response.json();
  } catch {
    return {message: `HTTP ${response.status}`};
  }
}

async function post(method, request, signal, again = true) {
  if (csrf === undefined) await session();
  const headers = {"content-type": "application/json", "x-csrf-token": csrf};
  if (signedIn()) headers.authorization = `Bearer ${sessionStorage.getItem(TOKEN)}`;
  const response = await reach(`rpc/${method}`, {method: "POST", headers, body: JSON.stringify(request), signal});
  if (response.ok) return response;
  const error = new CallError(response.status, await problem(response));
  if (error.code === "CSRF" && again) {
    // The server was started anew.
    csrf = undefined;
    return post(method, request, signal, false);
  }
  throw error;
}

// The answer of a unary method: `call("ModelService/ListModels", {category: "CATEGORY_SCAM_DETECTION"})`.
export async function call(method, request = {}, signal = undefined) {
  return (await post(method, request, signal)).json();
}

// The messages of a streaming method, until it ends or the signal aborts.
export async function* stream(method, request, signal) {
  const response = await post(method, request, signal);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let held = "";
  for (;;) {
    const {value, done} = await reader.read();
    if (done) return;
    held += value;
    const events = held.split("\n\n");
    held = events.pop();
    for (const event of events) {
      const data = event.match(/^data: (.*)$/m);
      if (!data) continue;
      if (event.startsWith("event: error")) throw new CallError(503, JSON.parse(data[1]));
      yield JSON.parse(data[1]);
    }
  }
}

// Runs a task again and again until the signal aborts; a page that nobody looks at asks for nothing.
export async function repeat(seconds, signal, task) {
  while (!signal.aborted) {
    if (!document.hidden) await task();
    await pause(seconds, signal);
  }
}

// Follows a stream over restarts of the server; `request()` says where to go on, `took(message)` takes what comes.
export async function follow(method, request, took, state, signal) {
  while (!signal.aborted) {
    try {
      state(true);
      for await (const message of stream(method, request(), signal)) took(message);
    } catch (error) {
      if (signal.aborted) return;
      if ([401, 403].includes(error.status) || ["UNAUTHENTICATED", "PERMISSION_DENIED"].includes(error.code)) throw error;
      state(false);
    }
    await pause(RECONNECT_SECONDS, signal);
  }
}

export const pause = (seconds, signal) =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, seconds * 1000);
    signal?.addEventListener("abort", () => (clearTimeout(timer), resolve()), {once: true});
  });
