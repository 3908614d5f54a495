// The page at "/": courses, a player, live jobs. No build step, no library, nothing from outside.
import { listen } from "/static/live.js";
import { $, announce, clock, count, during, joined, make, notice, report, span } from "/static/page.js";
import { api, begin, fetched, post, request } from "/static/session.js";

const VOICE = "nova";
const RECENT_JOBS = 12; // ended jobs kept in view; those still running are always shown
const FLEETING = /^(speech\.(speak|live|say|clip|rendition)|wakeword\.listen)/; // single phrases: the sound itself is their answer

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

// ---------------------------------------------------------------- what the server tells, and beginning
function receive(type, data) {
  if (type === "job.progress" || type === "job.finished") takeJob(data);
  else if (type === "stats_update") showStats(data);
}

function showStats({ clients_connected: clients, active_sessions: sessions, cache_size_mb: kept, uptime_seconds: up }) {
  $("stats").textContent = joined(`${clients} connected`, sessions && count(sessions, "active session"), `${Math.round(kept)} MB of speech kept`, `up ${span(up)}`);
}

begin({
  door: "/api/curriculum?limit=1",
  enter() {
    request("/docs", { method: "HEAD" }).then((answer) => { $("link-docs").hidden = answer.status !== 200; }, () => {});
    fetched("/api/stats").then(showStats).catch(() => {}); // the socket brings them too
    loadCourses().catch(report);
    listen(loadJobs, receive);
  },
});
