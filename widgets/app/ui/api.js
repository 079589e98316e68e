// The session's server: JSON in, JSON out. What goes wrong is an object, never an exception that nobody shows.

// Jupyter's protection against requests of other sites: the cookie's value comes back in a header.
export const xsrf = () => decodeURIComponent(document.cookie.match(/(?:^|; )_xsrf=([^;]*)/)?.[1] ?? "");

export function client(base) {
  // `{ error: "offline" }` where the session cannot be reached; a refusal has `error`, `message`, `values`, `faults`.
  return async function ask(method, path, body) {
    // Below JupyterHub a GET by script needs it, too: without, the cookie of the person counts for nothing (403).
    const headers = { Accept: "application/json", "X-XSRFToken": xsrf() };
    if (body !== undefined) headers["Content-Type"] = "application/json";
    let response;
    try {
      response = await fetch(base + path, { method, headers, credentials: "same-origin", redirect: "manual", body: body === undefined ? undefined : JSON.stringify(body) });
    } catch {
      return { error: "offline" };
    }
    if (response.type === "opaqueredirect" || [401, 403].includes(response.status)) return { error: "signed-out" };
    try {
      const found = await response.json();
      return response.ok || found.error ? found : { error: `http-${response.status}`, message: found.message ?? "" };
    } catch {
      return { error: [404, 502, 503, 504].includes(response.status) ? "offline" : `http-${response.status}` };
    }
  };
}

export const pause = (seconds) => new Promise((resolve) => { setTimeout(resolve, seconds * 1000); });

// A name for a request that may be sent twice: the second time it starts nothing.
export const newKey = () => Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, "0")).join("");
