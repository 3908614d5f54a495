"use strict";
// The page at "/": courses, a player, live jobs. No build step, no library, nothing from outside.
// Data reaches the page through textContent only, so a course can bring neither markup nor script along.

const VOICE = "nova";
const RECENT_JOBS = 12; // ended jobs kept in view; those still running are always shown
const FLEETING = /^speech\.(speak|live|say|clip|rendition)/; // single phrases: the sound itself is their answer

// ---------------------------------------------------------------- small helpers
const $ = (id) => document.getElementById(id);

function make(tag, props = {}, ...children) {
  const element = Object.assign(document.createElement(tag), props);
  element.append(...children);
  return element;
}

const count = (n, one) => `${n} ${one}${n === 1 ? "" : "s"}`;
const clock = (s) => `${Math.floor(s / 60)}:${String(Math.floor(s % 60)).padStart(2, "0")}`;
const span = (s) => (s < 90 ? `${Math.ceil(s)} s` : s < 5400 ? `${Math.round(s / 60)} min` : s < 172800 ? `${Math.round(s / 3600)} h` : `${Math.round(s / 86400)} days`);
const joined = (...parts) => parts.filter(Boolean).join(" · ");
const announce = (text) => { $("announcer").textContent = text; }; // read out by screen readers

const tell = (id, text) => Object.assign($(id), { textContent: text, hidden: !text });
const notice = (text) => tell("notice-text", text);
const report = (fault) => { if (fault.name !== "AbortError" && !fault.signedOut) notice(fault.message); };

/** Work behind a button: never twice at once, its failure shown, the focus where it was. */
async function during(button, work) {
  const focused = document.activeElement === button;
  button.disabled = true;
  await work().catch(report);
  button.disabled = false;
  if (focused && document.activeElement === document.body) button.focus({ preventScroll: true });
}

// ---------------------------------------------------------------- credential and requests
// sessionStorage: the credential lives as long as the tab, and no other site or tab can read it.
const credential = { token: null, refresh: null, reason: "", ...JSON.parse(sessionStorage.getItem("credential")) };
const isJwt = () => credential.token.split(".").length === 3;
function keepCredential(token, refresh, reason = "") { // the reason: why one has to sign in again
  Object.assign(credential, { token, refresh, reason });
  sessionStorage.setItem("credential", JSON.stringify(credential));
}
function takeTokenFromAddress() {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (!token) return;
  history.replaceState(null, "", location.pathname + location.search); // out of the address bar and the history
  keepCredential(token, null);
  start();
}

function request(path, { method = "GET", body, ...others } = {}) {
  const headers = body ? { "Content-Type": "application/json" } : {};
  if (credential.token && isJwt()) headers.Authorization = `Bearer ${credential.token}`;
  else if (credential.token) headers["X-API-Key"] = credential.token;
  return fetch(path, { method, headers, body: body && JSON.stringify(body), ...others }).catch((fault) => {
    throw fault.name === "AbortError" ? fault : new Error("The server cannot be reached. Is it still running?");
  });
}

async function api(path, options) {
  const used = credential.token;
  let answer = await request(path, options);
  if (answer.status === 401 && (credential.token !== used || (await renewed()))) answer = await request(path, options);
  if (answer.ok) return answer;
  const told = await answer.json().catch(() => null);
  const wait = Number(answer.headers.get("Retry-After"));
  const fault = new Error((told?.error || `The server answered ${answer.status}.`) + (wait > 0 ? ` Try again in ${span(wait)}.` : ""));
  if (answer.status === 401 && !$("app").hidden) { // while signing in, the form itself says what is wrong
    fault.signedOut = true;
    signOut("Please sign in again: the server no longer accepts this credential.");
  }
  throw fault;
}
const fetched = async (path, options) => (await api(path, options)).json();
const post = (path, body) => fetched(path, { method: "POST", body });

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

// ---------------------------------------------------------------- signing in and out
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

$("login-form").addEventListener("submit", (event) => signIn(event, async () => {
  const body = { username: $("username").value, password: $("password").value };
  const { access_token, refresh_token } = await post("/api/auth/login", body);
  keepCredential(access_token, refresh_token);
}));
$("key-form").addEventListener("submit", (event) => signIn(event, async () => {
  keepCredential($("api-key").value.trim(), null);
  await api("/api/curriculum?limit=1"); // a key has no login of its own: see whether it opens the door
}));

function signOut(reason = "") {
  // Only what the form obtained is ended on the server: a start link or a key may be in use elsewhere.
  const body = { refresh_token: credential.refresh };
  if (credential.refresh) request("/api/auth/logout", { method: "POST", body, keepalive: true }).catch(() => {});
  keepCredential(null, null, reason);
  location.reload(); // nothing of this person stays in the page, sound and connection included
}
$("sign-out").addEventListener("click", () => signOut());

// ---------------------------------------------------------------- courses, topics, segments
const shown = { courses: 0, course: null, segments: [] };
const size = (topics, segments) => joined(count(topics, "topic"), count(segments, "segment"));

async function loadCourses(offset = 0) {
  const { curricula, total } = await fetched(`/api/curriculum?limit=50&offset=${offset}`);
  if (!offset) $("courses").replaceChildren();
  for (const { id, title, topic_count = 0, segment_count = 0 } of curricula) {
    const button = make("button", { type: "button", className: "course", onclick: () => openCourse(id).catch(report) },
      make("strong", { textContent: title }), make("span", { textContent: size(topic_count, segment_count) }));
    button.dataset.id = id;
    $("courses").append(make("li", {}, button));
  }
  shown.courses = offset + curricula.length;
  $("courses-empty").hidden = shown.courses > 0;
  $("courses-more").hidden = shown.courses >= total;
  if (total === 1) await openCourse(curricula[0].id); // nothing to choose
}
$("courses-more").addEventListener("click", (event) => during(event.target, () => loadCourses(shown.courses)));

async function openCourse(id) {
  const before = shown.course;
  if (before?.id === id) return;
  chooseCourse({ id });
  const course = await fetched(`/api/curriculum/${encodeURIComponent(id)}`).catch((fault) => {
    chooseCourse(before);
    throw fault;
  });
  if (shown.course?.id === id) renderCourse(course); // unless another one was chosen meanwhile
}
function chooseCourse(course) {
  shown.course = course;
  for (const button of document.querySelectorAll(".course")) button.ariaPressed = String(button.dataset.id === String(course?.id));
}

function renderCourse(course) {
  const topics = course.content ?? [];
  const total = topics.reduce((sum, topic) => sum + topic.segments.length, 0);
  const roomy = matchMedia("(min-width: 60rem)").matches && total <= 120; // else only the first topic starts open
  Object.assign(shown, { course, segments: [] });
  $("course-title").textContent = course.title;
  $("course-description").textContent = course.description ?? "";
  $("course-size").textContent = size(topics.length, total);
  $("speak-result").textContent = "";
  $("topics").replaceChildren(...topics.map((topic, place) => make("details", { className: "topic", open: roomy || place === 0 },
    make("summary", {}, make("h3", { textContent: topic.title }), make("p", { className: "hint", textContent: topic.description ?? "" })),
    make("ol", { className: "segments" }, ...topic.segments.map((segment, i) => renderSegment(segment, `${topic.title}, ${i + 1} of ${topic.segments.length}`))))));
  $("listen").disabled = $("speak-course").disabled = !total;
  $("course").hidden = false;
  if (now.course === course.id) now.list = shown.segments; // it plays already: mark it in the new rows
  paint();
}

function renderSegment({ id, text }, where) {
  const button = make("button", { type: "button", className: "play round" }, make("span", { className: "icon play", ariaHidden: "true" }));
  const row = make("li", { className: "segment" }, button, make("p", { textContent: text }));
  const item = { text, where, row, button, name: `“${text.split(/\s+/).slice(0, 7).join(" ")} …”` };
  const index = shown.segments.push(item) - 1;
  row.dataset.id = id;
  button.addEventListener("click", () => (current() === item ? toggle() : playAt(index, shown.segments, shown.course.id)));
  return row;
}

$("listen").addEventListener("click", () => playAt(0, shown.segments, shown.course.id));
$("speak-course").addEventListener("click", () => during($("speak-course"), async () => {
  const { id, title } = shown.course;
  const body = { curriculum_id: id, voice_id: VOICE };
  const { job_id, total_segments: total, cached_segments: cached } = await post("/api/tts/prefetch/topic", body);
  const [key, done] = [jobKey(job_id), cached >= total];
  $("speak-result").textContent = done ? "All of it is spoken already." : `${cached} of ${total} are spoken already, the others follow.`;
  titles.set(key, title);
  const begun = { kind: "speech.prefetch", state: done ? "succeeded" : "queued", progress: cached / (total || 1), items: { total, succeeded: cached } };
  takeJob({ ...begun, ...jobs.get(key)?.job, id: job_id }); // at once; what events have told meanwhile is newer and stays
}));

// ---------------------------------------------------------------- speech: texts in, object URLs out
const clips = new Map(); // text -> {ready, controller}; the current segment and the next, never more

function speech(text) {
  if (!clips.has(text)) {
    const controller = new AbortController();
    const entry = { controller, ready: fetchSpeech(text, controller.signal) };
    entry.ready.catch(() => { if (clips.get(text) === entry) clips.delete(text); }); // a failure may be tried again
    clips.set(text, entry);
  }
  return clips.get(text).ready;
}

async function fetchSpeech(text, signal) {
  const begun = performance.now();
  const answer = await api("/api/tts", { method: "POST", signal, body: { text, voice_id: VOICE, format: "wav" } });
  const sound = await answer.blob(); // whole, so that the element knows its length and can seek
  const header = (name) => answer.headers.get(`X-TTS-${name}`);
  const [cache, length, fallback] = [header("Cache-Status"), Number(header("Duration-Seconds")), header("Fallback")];
  return { url: URL.createObjectURL(sound), cache, length, fallback, took: (performance.now() - begun) / 1000 };
}
function keepOnly(...texts) {
  for (const [text, { ready, controller }] of clips) {
    if (texts.includes(text)) continue;
    clips.delete(text);
    controller.abort(); // the server drops work that nobody waits for any more
    ready.then((clip) => URL.revokeObjectURL(clip.url), () => {});
  }
}

// ---------------------------------------------------------------- player
const audio = $("player");
const now = { list: [], index: -1, course: null, clip: null, loading: false, turn: 0 };
const current = () => now.list[now.index];
const onScreen = (box) => box?.height > 0 && box.bottom > 0 && box.top < innerHeight;

/** Plays one item of a list and gives its clip, or nothing if it failed or was overtaken by another. */
async function playAt(index, list = now.list, course = now.course) {
  const follow = list !== now.list || onScreen(current()?.row?.getBoundingClientRect()); // never pull the page from under somebody reading elsewhere
  const turn = ++now.turn;
  // Phones allow sound only from within a tap, and the speech comes later: load() in the tap keeps the element allowed.
  if (!audio.src) audio.load();
  audio.pause();
  Object.assign(now, { list, index, course, clip: null, loading: true });
  const { text, row } = current();
  keepOnly(text, list[index + 1]?.text);
  paint();
  if (follow && row) {
    row.closest("details").open = true;
    row.scrollIntoView({ block: "center" }); // smooth or not is the style sheet's, which knows about reduced motion
  }
  const clip = await speech(text).catch((fault) => { if (turn === now.turn) report(fault); });
  if (turn !== now.turn) return null;
  Object.assign(now, { clip: clip ?? null, loading: false });
  if (clip) {
    audio.src = clip.url;
    applySpeed();
    audio.play().catch(() => {}); // refused or interrupted: the button shows "play", and that is enough
    prefetch();
  }
  paint();
  return clip;
}
const prefetch = () => {
  const following = now.list[now.index + 1];
  if (following && now.clip && $("play-on").checked) speech(following.text).catch(() => {}); // asked for again in its turn
};

function toggle() {
  if (now.loading) { // no longer wanted
    Object.assign(now, { turn: now.turn + 1, loading: false });
    keepOnly();
    paint();
  } else if (!now.clip) playAt(now.index);
  else if (audio.paused) audio.play().catch(report);
  else audio.pause();
}

const applySpeed = () => { audio.defaultPlaybackRate = audio.playbackRate = Number($("speed").value); }; // a new source returns to the default rate

/** Makes everything that shows the player's state agree with it. */
function paint() {
  const item = current();
  const state = now.loading ? "busy" : now.clip && !audio.paused ? "pause" : "play";
  for (const other of shown.segments) {
    setButton(other.button, other === item ? state : "play", other.name);
    other.row.classList.toggle("current", other === item);
    other.row.ariaCurrent = other === item ? "true" : null;
  }
  setButton($("toggle"), state, "");
  $("player-bar").hidden = !item;
  document.body.classList.toggle("has-player", Boolean(item));
  $("now-where").textContent = item?.where ?? "";
  $("now-text").textContent = item?.text ?? "";
  $("previous").disabled = now.index < 1;
  $("next").disabled = now.index + 1 >= now.list.length;
  paintTime();
}

function setButton(button, state, name) {
  const label = `${{ play: "Play", pause: "Pause", busy: "Stop waiting for" }[state]} ${name}`.trim();
  if (button.ariaLabel === label) return; // long courses repaint cheaply
  button.ariaLabel = label;
  button.firstElementChild.className = `icon ${state}`;
}
function paintTime() {
  const length = now.clip ? audio.duration || now.clip.length || 0 : 0;
  const at = now.clip ? audio.currentTime : 0;
  Object.assign($("seek"), { disabled: !now.clip, max: length || 1, value: at, ariaValueText: `${clock(at)} of ${clock(length)}` });
  $("time-now").textContent = clock(at);
  $("time-all").textContent = clock(Math.round(length));
}

for (const name of ["play", "pause", "loadedmetadata"]) audio.addEventListener(name, paint);
audio.addEventListener("timeupdate", paintTime);
audio.addEventListener("error", () => { if (now.clip) notice("This browser cannot play the sound that came back."); });
audio.addEventListener("ended", () => { if ($("play-on").checked && now.index + 1 < now.list.length) playAt(now.index + 1); });

$("toggle").addEventListener("click", toggle);
$("previous").addEventListener("click", () => playAt(now.index - 1));
$("next").addEventListener("click", () => playAt(now.index + 1));
$("seek").addEventListener("input", () => { audio.currentTime = Number($("seek").value); });
$("speed").addEventListener("change", applySpeed);
$("play-on").addEventListener("change", prefetch);

// ---------------------------------------------------------------- say something
$("say-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = $("say-text").value.trim();
  if (text) during($("say-go"), async () => {
    $("say-result").textContent = "Speaking …";
    keepOnly(); // asked of the server anew, so that hit or miss is the truth
    const clip = await playAt(0, [{ text, where: "You said" }], null);
    $("say-result").replaceChildren();
    if (clip) $("say-result").append(make("span", { className: `chip ${clip.cache}`, textContent: clip.cache ?? "spoken" }),
      ` ${clip.length.toFixed(1)} s of speech in ${clip.took.toFixed(2)} s` + (clip.fallback ? `, by another voice: ${clip.fallback}` : ""));
  });
});
$("say-text").addEventListener("keydown", (event) => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) $("say-form").requestSubmit(); });

// ---------------------------------------------------------------- jobs
const jobs = new Map(); // key -> {job, row, parts}
const titles = new Map(); // key -> title of the course it speaks, where this page knows
const jobKey = (id) => String(id).replace(/^(prefetch|import|deploy)_/, ""); // documents show a prefix, /api/jobs does not
const active = ({ state }) => ["queued", "running", "paused"].includes(state);
const WORDS = { queued: "waiting", succeeded: "done" };
const ACTIONS = {
  pause: ({ state }) => state === "queued" || state === "running",
  resume: ({ state }) => state === "paused",
  cancel: active,
  retry: ({ state, items }) => state === "failed" || state === "cancelled" || (state === "succeeded" && items?.failed > 0),
};

function jobName(key) {
  const kind = jobs.get(key).job.kind ?? "job";
  const plain = kind.replace(/[._]+/g, " ");
  return titles.get(key) ?? (kind === "speech.prefetch" ? "Speaking a course" : plain[0].toUpperCase() + plain.slice(1));
}

const loadJobs = async () => (await fetched("/api/jobs?limit=20")).jobs.forEach((job) => takeJob(job, true));

function takeJob(fresh, silent = false) {
  const key = jobKey(fresh.id ?? fresh.job_id);
  const old = jobs.get(key)?.job;
  if (old?.version > fresh.version) return; // an event overtaken by a later one
  const job = { created_at: new Date().toISOString(), ...old, ...fresh, id: fresh.id ?? fresh.job_id, items: fresh.items ?? old?.items };
  if (FLEETING.test(job.kind) && !job.items?.total && job.state !== "failed") return;
  jobs.set(key, { ...(jobs.get(key) ?? buildJob(key)), job });
  drawJob(key);
  if (!old || active(old) !== active(job)) orderJobs();
  if (silent) return;
  const quarter = Math.floor((job.progress ?? 0) * 4);
  if (old?.state !== job.state) announce(`${jobName(key)}: ${WORDS[job.state] ?? job.state}.`);
  else if (job.state === "running" && quarter > Math.floor((old.progress ?? 0) * 4)) announce(`${jobName(key)}: ${quarter * 25} percent.`);
}
function buildJob(key) {
  const [name, state, bar, detail] = [make("strong"), make("span"), make("progress", { max: 1 }), make("p", { className: "hint" })];
  const buttons = Object.keys(ACTIONS).map((action) => make("button", {
    type: "button", className: `quiet ${action}`, textContent: action[0].toUpperCase() + action.slice(1), onclick: (event) => actOn(key, action, event.target),
  }));
  const head = make("div", { className: "job-head" }, name, state);
  const row = make("li", { className: "job" }, head, bar, detail, make("div", { className: "actions" }, ...buttons));
  return { row, parts: { name, state, bar, detail, buttons } };
}

function drawJob(key) {
  const { job, row, parts: { name, state, bar, detail, buttons } } = jobs.get(key);
  const { total, succeeded = 0, failed = 0 } = job.items ?? {};
  const running = job.state === "running";
  const fault = job.state === "failed" && (job.error_message ?? job.error?.message ?? job.error);
  Object.assign(row.dataset, { id: job.id, state: job.state });
  name.textContent = jobName(key);
  Object.assign(state, { textContent: WORDS[job.state] ?? job.state, className: `chip ${job.state}` });
  Object.assign(bar, { value: job.progress ?? 0, hidden: !active(job), ariaLabel: `Progress: ${jobName(key)}` });
  detail.textContent = joined(active(job) && `${Math.floor((job.progress ?? 0) * 100)} %`, total && `${succeeded} of ${total}`, failed > 0 && `${failed} failed`,
    running && job.phase, running && job.eta_seconds > 0 && `${span(job.eta_seconds)} left`, typeof fault === "string" && fault);
  Object.values(ACTIONS).forEach((allowed, i) => Object.assign(buttons[i], { hidden: !allowed(job), ariaLabel: `${buttons[i].textContent} ${jobName(key)}` }));
}

function orderJobs() {
  const order = [...jobs].sort(([, a], [, b]) => active(b.job) - active(a.job) || b.job.created_at.localeCompare(a.job.created_at));
  for (const [key, { job }] of order.slice(RECENT_JOBS)) if (!active(job)) jobs.delete(key);
  const focused = document.activeElement; // moving a row takes the focus from its buttons
  $("jobs").replaceChildren(...order.filter(([key]) => jobs.has(key)).map(([, { row }]) => row));
  if (focused !== document.activeElement) focused.focus({ preventScroll: true });
  const running = order.filter(([, { job }]) => active(job)).length;
  $("jobs-empty").hidden = jobs.size > 0;
  Object.assign($("jobs-count"), { textContent: running, hidden: !running });
}

const actOn = (key, action, button) => during(button, async () => {
  const { job, row } = jobs.get(key);
  const told = await post(`/api/jobs/${encodeURIComponent(job.id)}/${action}`);
  if (told.state) takeJob({ ...told, id: job.id });
  else await loadJobs();
  if (button.hidden) row.querySelector("button:not([hidden])")?.focus({ preventScroll: true }); // it was pressed away
});

// ---------------------------------------------------------------- the live connection
const line = { socket: null, tries: 0, timer: 0, heard: 0, attempt: 0 };

function showConnection(state, text) {
  if ($("connection").dataset.state !== state && (state === "down" || line.tries)) announce(`Live connection: ${text}.`);
  $("connection").dataset.state = state;
  $("connection-text").textContent = text;
  if (state === "up") line.tries = 0;
}

async function connect() {
  disconnect();
  const attempt = line.attempt;
  try {
    await loadJobs(); // fills in what was missed, and finds out whether the credential still holds
    const address = new URL("/ws", location.href.replace(/^http/, "ws"));
    if (isJwt()) address.searchParams.set("token", credential.token);
    else address.searchParams.set("ticket", (await post("/api/auth/ws-ticket")).ticket);
    if (attempt !== line.attempt) return; // signed out, or begun again, meanwhile
    line.socket = new WebSocket(address);
    line.socket.onmessage = (event) => receive(JSON.parse(event.data));
    line.socket.onclose = lost;
    line.heard = Date.now();
  } catch (fault) {
    if (attempt === line.attempt) lost();
  }
}

function receive({ type, data }) {
  line.heard = Date.now();
  if (type === "ping") send("pong");
  else if (type === "job.progress" || type === "job.finished") takeJob(data);
  else if (type === "stats_update") showStats(data);
  else if (type === "connected") showConnection("up", "Live");
}
const send = (type) => { if (line.socket?.readyState === WebSocket.OPEN) line.socket.send(JSON.stringify({ type, data: {} })); };

function lost() {
  disconnect();
  showConnection("down", navigator.onLine ? "Reconnecting" : "Offline");
  // Doubling from one second to thirty, and spread, so that many pages do not come back in the same instant.
  line.timer = setTimeout(connect, Math.min(30, 2 ** line.tries++) * (750 + Math.random() * 500));
}
function disconnect() {
  clearTimeout(line.timer);
  line.attempt++;
  if (line.socket) Object.assign(line.socket, { onclose: null, onmessage: null }).close();
  line.socket = null;
}

// A dead network closes nothing by itself: no answer for 50 seconds, with a ping every 20, means the line is lost.
setInterval(() => (line.socket && Date.now() - line.heard > 50_000 ? lost() : send("ping")), 20_000);
const wake = () => { if (credential.token && !line.socket && !document.hidden) connect(); };
addEventListener("online", wake);
addEventListener("offline", () => { if (credential.token) lost(); });
document.addEventListener("visibilitychange", wake);

function showStats({ clients_connected: clients, active_sessions: sessions, cache_size_mb: kept, uptime_seconds: up }) {
  $("stats").textContent = joined(`${clients} connected`, sessions && count(sessions, "active session"), `${Math.round(kept)} MB of speech kept`, `up ${span(up)}`);
}

// ---------------------------------------------------------------- beginning
function start() {
  for (const id of ["app", "nav", "connection", "sign-out"]) $(id).hidden = !credential.token;
  $("login").hidden = Boolean(credential.token);
  notice("");
  tell("login-error", credential.reason);
  if (!credential.token) return $("username").focus();
  request("/docs", { method: "HEAD" }).then((answer) => { $("link-docs").hidden = answer.status !== 200; }, () => {});
  fetched("/api/stats").then(showStats).catch(() => {}); // the socket brings them too
  loadCourses().catch(report);
  connect();
}

$("notice-close").addEventListener("click", () => notice(""));
addEventListener("hashchange", takeTokenFromAddress);
takeTokenFromAddress();
if ($("app").hidden) start();
