// Who is signed in, and every request to the server.
import { $, notice, span, tell } from "/static/page.js";

// sessionStorage: the credential lives as long as the tab, and no other site or tab can read it.
export const credential = { token: null, refresh: null, reason: "", ...JSON.parse(sessionStorage.getItem("credential")) };
export const isJwt = () => credential.token.split(".").length === 3;
function keepCredential(token, refresh, reason = "") { // the reason: why one has to sign in again
  Object.assign(credential, { token, refresh, reason });
  sessionStorage.setItem("credential", JSON.stringify(credential));
}

export function request(path, { method = "GET", body, ...others } = {}) {
  const form = body instanceof FormData; // the browser itself names its type, with the boundary
  const headers = body && !form ? { "Content-Type": "application/json" } : {};
  if (credential.token && isJwt()) headers.Authorization = `Bearer ${credential.token}`;
  else if (credential.token) headers["X-API-Key"] = credential.token;
  return fetch(path, { method, headers, body: body && !form ? JSON.stringify(body) : body, ...others }).catch((fault) => {
    throw fault.name === "AbortError" ? fault : new Error("The server cannot be reached. Is it still running?");
  });
}

export async function api(path, options) {
  const used = credential.token;
  let answer = await request(path, options);
  if (answer.status === 401 && (credential.token !== used || (await renewed()))) answer = await request(path, options);
  if (answer.ok) return answer;
  const told = await answer.json().catch(() => null);
  const wait = Number(answer.headers.get("Retry-After"));
  // Some surfaces put a word for programs into "error", and the sentence for people beside it.
  const fault = new Error((told?.message || told?.error || told?.detail || `The server answered ${answer.status}.`) + (wait > 0 ? ` Try again in ${span(wait)}.` : ""));
  fault.status = answer.status;
  if (answer.status === 401 && !$("app").hidden) { // while signing in, the form itself says what is wrong
    fault.signedOut = true;
    signOut("Please sign in again: the server no longer accepts this credential.");
  }
  throw fault;
}
export const fetched = async (path, options) => (await api(path, options)).json();
export const post = (path, body) => fetched(path, { method: "POST", body });

// Several requests may meet the same expired token; they share one renewal, which must not carry that token.
let renewal = null;
function renewed() {
  if (!credential.refresh) return false;
  const options = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ refresh_token: credential.refresh }) };
  renewal ??= fetch("/api/auth/refresh", options).then((answer) => answer.ok && answer.json()).then((fresh) => {
    if (fresh) keepCredential(fresh.access_token, fresh.refresh_token ?? credential.refresh);
    return Boolean(fresh);
  }).catch(() => false).finally(() => { renewal = null; });
  return renewal;
}

export function signOut(reason = "") {
  // Only what the form obtained is ended on the server: a start link or a key may be in use elsewhere.
  const body = { refresh_token: credential.refresh };
  if (credential.refresh) request("/api/auth/logout", { method: "POST", body, keepalive: true }).catch(() => {});
  keepCredential(null, null, reason);
  location.reload(); // nothing of this person stays in the page, sound and connection included
}

/** Begins the page: ``enter`` is called when somebody is signed in; a key has to open the path ``door`` for that. */
export function begin({ door, enter }) {
  function start() {
    for (const id of ["app", "nav", "connection", "sign-out"]) $(id)?.toggleAttribute("hidden", !credential.token); // not every page has all
    $("login").hidden = Boolean(credential.token);
    notice("");
    tell("login-error", credential.reason);
    if (!credential.token) return $("username").focus();
    enter();
  }
  async function signIn(event, obtain) {
    event.preventDefault();
    tell("login-error", "");
    try {
      await obtain();
      event.target.reset();
      start();
    } catch (fault) {
      keepCredential(null, null);
      tell("login-error", fault.message);
    }
  }
  function takeTokenFromAddress() {
    const token = new URLSearchParams(location.hash.slice(1)).get("token");
    if (!token) return;
    history.replaceState(null, "", location.pathname + location.search); // out of the address bar and the history
    keepCredential(token, null);
    start();
  }
  $("login-form").addEventListener("submit", (event) => signIn(event, async () => {
    const body = { username: $("username").value, password: $("password").value };
    const { access_token, refresh_token } = await post("/api/auth/login", body);
    keepCredential(access_token, refresh_token);
  }));
  $("key-form").addEventListener("submit", (event) => signIn(event, async () => {
    keepCredential($("api-key").value.trim(), null);
    await api(door); // a key has no login of its own: see whether it opens the door
  }));
  $("sign-out").addEventListener("click", () => signOut());
  addEventListener("hashchange", takeTokenFromAddress);
  takeTokenFromAddress();
  if ($("app").hidden) start();
}
