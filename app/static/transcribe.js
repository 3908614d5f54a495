// The page at "/transcribe": take a task, hear it, write what is said, go on. No build step, no library, nothing from outside.
import { $, announce, count, joined, notice, report, tell } from "/static/page.js";
import { api, begin, credential, fetched } from "/static/session.js";
import { atWork, beatOf, hold, release } from "/static/transcribe_lease.js";
import { back, faster, forward, load, slower, toggle, unload } from "/static/transcribe_player.js";

const ASK_AGAIN = 20_000; // ms
const SEND_AGAIN = 10_000;
const DOOR = "/api/tasks/available/count";

const here = { agent: null, task: null, busy: false, asking: 0, sending: 0, refused: null, total: null };
const box = $("text");

// What is kept lives as long as the tab: another person's browser has none of it.
const KEPT = "transcribe.";
const keep = (name, value) => sessionStorage.setItem(KEPT + name, JSON.stringify(value));
const kept = (name) => JSON.parse(sessionStorage.getItem(KEPT + name));
const forget = (...names) => names.forEach((name) => sessionStorage.removeItem(KEPT + name));
const textOf = (task) => `text.${here.agent}.${task}`;

// ---------------------------------------------------------------- who
async function enter() {
  await fetched(DOOR); // a credential that may not transcribe is told so
  const me = await fetched("/api/auth/me").catch((fault) => {
    if (fault.status === 404) return {}; // a system key belongs to nobody
    throw fault;
  });
  if (me.role === "agent" && me.agent_id === null) throw new Error("This key belongs to no agent. Ask for one that was made with your agent number.");
  const agent = me.role === "agent" ? me.agent_id : kept("agent");
  if (agent !== null) return startAs(agent);
  show("agent-form");
  $("agent-id").focus();
}
$("agent-form").addEventListener("submit", (event) => {
  event.preventDefault();
  keep("agent", $("agent-id").valueAsNumber);
  startAs($("agent-id").valueAsNumber).catch(report);
});

async function startAs(agent) {
  here.agent = agent;
  $("who").textContent = `You work as agent ${agent}.`;
  const before = kept("task");
  if (before?.agent === agent && kept(textOf(before.task_id)) !== null) {
    // Before another is taken: is it still ours? If not, its text is not to be lost.
    const lost = await beatOf(before.task_id, agent).then(() => null, (fault) => (fault.status === 403 || fault.status === 404 ? fault.message : null));
    if (lost) return showTask(before, null, lost);
  }
  await next();
}

const PARTS = ["agent-form", "waiting", "task"];
function show(part) {
  for (const each of PARTS) $(each).hidden = each !== part;
}

// ---------------------------------------------------------------- the next task
/** Takes the next task, or waits for one. */
async function next(why = "") {
  if (here.busy) return;
  here.busy = true;
  clearTimeout(here.asking);
  clearTimeout(here.sending);
  try {
    const answer = await api("/api/tasks/request", { method: "POST", body: { agent_id: here.agent } });
    const task = await answer.json();
    if (task.task_id === null) wait(task.message, "This page asks again every 20 seconds. Leave it open.");
    else showTask(task, answer);
  } catch (fault) {
    if (!fault.signedOut) wait("The server gave no task", fault.message);
  }
  here.busy = false;
  loadFigures(why);
}

function wait(title, text) {
  leave();
  const already = !$("waiting").hidden;
  show("waiting");
  document.title = "Transcribe · Voiceworks";
  if ($("waiting-title").textContent !== title) $("waiting-title").textContent = title;
  if ($("waiting-text").textContent !== text) $("waiting-text").textContent = text;
  if (!already) {
    $("waiting-title").focus();
    announce(`${title}. ${text}`);
  }
  here.asking = setTimeout(askAgain, ASK_AGAIN);
}
// Nobody is given a task who does not look: it would be kept from others.
const askAgain = () => { if (!document.hidden && !$("waiting").hidden) next(); };
document.addEventListener("visibilitychange", askAgain);
$("ask-now").addEventListener("click", () => next());

function leave() {
  release();
  unload();
  here.task = here.refused = null;
}

const seconds = (s) => `${s.toFixed(1)} s`;
function nameOf(language) {
  try { return new Intl.DisplayNames(["en"], { type: "language" }).of(language); } catch { return language; }
}

/** Shows a task; ``answer`` is what it came in, and without one it is ours no more: ``lost`` says why. */
function showTask(task, answer, lost = "") {
  leave();
  const waited = !$("waiting").hidden;
  here.task = task;
  keep("task", { ...task, agent: here.agent });
  show("task");
  document.title = `Task ${task.task_id} · Voiceworks`;
  $("task-number").textContent = task.task_id;
  $("task-title").textContent = task.file_name;
  $("task-about").textContent = joined(seconds(task.duration), task.language && nameOf(task.language));
  box.lang = task.language ?? "";
  box.value = kept(textOf(task.task_id)) ?? task.draft ?? "";
  box.classList.toggle("draft", Boolean(task.draft));
  $("draft-note").hidden = !task.draft;
  for (const id of ["lost", "outcome"]) tell(id, "");
  setSending("");
  $("go-on").hidden = true;
  $("skip").hidden = false;
  $("sound").hidden = !answer;
  if (answer) {
    hold(task.task_id, here.agent, answer, task.lease_until, showLost);
    load(task, here.agent, atWork);
  } else showLost(lost);
  box.focus({ preventScroll: true });
  if (kept(textOf(task.task_id)) === null) box.setSelectionRange(0, 0); // a draft is read from its beginning
  scrollTo({ top: 0 });
  announce(`${waited ? "A task has come. " : ""}Task ${task.task_id}, ${seconds(task.duration)}${task.draft ? ", with a draft to check" : ""}.`);
}

function showLost(words) {
  tell("lost", `The time for this task is over (${words}). Your text is still here: submit it, and it counts if nobody else has the task.`);
  $("go-on").hidden = false;
  $("skip").hidden = true; // it is given back already
}

box.addEventListener("input", () => {
  keep(textOf(here.task.task_id), box.value);
  if (here.sending) setSending(""); // who writes on decides anew when it is sent
  atWork();
});

// ---------------------------------------------------------------- handing in, skipping
function setSending(text, locked = false) {
  clearTimeout(here.sending);
  here.sending = 0;
  box.readOnly = $("submit").disabled = $("skip").disabled = locked;
  $("sending").textContent = text;
}

async function submit() {
  if (!here.task || here.busy || box.readOnly) return;
  const { task_id: task } = here.task;
  const transcription = box.value.trim();
  tell("outcome", "");
  if (!transcription) return tell("outcome", "Nothing is written yet. Where nothing is said, skip the task: “No speech”.");
  setSending("Sending …", true);
  try {
    await fetched(`/api/tasks/${task}/submit`, { method: "POST", body: { agent_id: here.agent, transcription } });
  } catch (fault) {
    if (!fault.signedOut) refused(fault);
    return;
  }
  handedOver(task);
  setSending("");
  await next("submitted");
}

function refused(fault) {
  setSending("");
  if (fault.status && fault.status < 500 && fault.status !== 429) {
    tell("outcome", fault.message);
    here.refused = box.value;
    $("go-on").hidden = false;
    return box.focus({ preventScroll: true });
  }
  // It may have arrived or not; sent once more, it counts once.
  tell("outcome", `Not sent yet: ${fault.message} Your text is safe here.`);
  setSending("It is sent again in 10 seconds, or when you press Submit.");
  here.sending = setTimeout(submit, SEND_AGAIN);
}
addEventListener("online", () => { if (here.sending) submit(); });

function handedOver(task) {
  forget(textOf(task), "task");
  release();
}

$("text-form").addEventListener("submit", (event) => {
  event.preventDefault();
  submit();
});
$("go-on").addEventListener("click", () => {
  const unsent = box.value.trim() && box.value !== (here.task?.draft ?? "") && box.value !== here.refused;
  if (unsent && !confirm("What you wrote for this task has not been submitted and will be forgotten. Go on?")) return;
  if (here.task) handedOver(here.task.task_id);
  next();
});

const dialog = $("skipping");
function askWhy() {
  if (!here.task || $("skip").hidden || $("skip").disabled || dialog.open) return;
  $("skip-form").reset();
  tell("skip-error", "");
  dialog.showModal();
}
$("skip").addEventListener("click", askWhy);
$("skip-not").addEventListener("click", () => dialog.close());
dialog.addEventListener("close", () => { if (!$("task").hidden) box.focus({ preventScroll: true }); });
$("skip-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const [chosen, more] = [new FormData(event.target).get("reason"), $("skip-more").value.trim()];
  if (chosen === "Other" && !more) {
    tell("skip-error", "Say in your words why.");
    return $("skip-more").focus();
  }
  const reason = chosen === "Other" ? more : more ? `${chosen}: ${more}` : chosen;
  const { task_id: task } = here.task;
  $("skip-go").disabled = true;
  try {
    await fetched(`/api/tasks/${task}/skip`, { method: "POST", body: { agent_id: here.agent, reason } });
    dialog.close();
    handedOver(task);
    await next("skipped");
  } catch (fault) {
    tell("skip-error", fault.message);
    if (fault.status === 403 || fault.status === 404) {
      dialog.close();
      release();
      showLost(fault.message);
    }
  } finally {
    $("skip-go").disabled = false;
  }
});

// ---------------------------------------------------------------- figures
const money = new Intl.NumberFormat("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 });

/** Shows what there is and what was earned; ``why`` is what was done with the last task. */
async function loadFigures(why) {
  try {
    const [{ available }, stats] = await Promise.all([fetched(`${DOOR}?agent_id=${here.agent}`), fetched(`/api/agents/${here.agent}/stats`)]);
    const [before, total] = [here.total, stats.total_earnings];
    here.total = total;
    const first = kept("first");
    const since = first?.agent === here.agent ? first.total : before ?? total;
    keep("first", { agent: here.agent, total: since });
    $("work").hidden = false;
    $("available").textContent = count(available, "task");
    $("earned").textContent = money.format(total);
    $("earned-now").textContent = money.format(total - since);
    $("completed").textContent = stats.total_tasks_completed;
    if (why === "submitted") $("last").textContent = before !== null && total > before ? `The last task earned ${money.format(total - before)}.` : "The last task was handed in.";
  } catch (fault) {
    if (why === "submitted") $("last").textContent = "The last task was handed in.";
  }
  if (why === "skipped") $("last").textContent = "The last task was skipped; others are offered it.";
}

// ---------------------------------------------------------------- keys
// None of these writes or moves in a text, and no browser does anything with them that a page may not have instead.
const KEYS = { Escape: toggle, F2: back, F4: forward, "Shift+F2": slower, "Shift+F4": faster, F8: askWhy, "Control+Enter": submit };
document.addEventListener("keydown", (event) => {
  if ($("task").hidden || dialog.open || event.isComposing || event.altKey) return; // an input method has Escape for itself
  const name = [(event.ctrlKey || event.metaKey) && "Control", event.shiftKey && "Shift", event.key].filter(Boolean).join("+");
  const work = KEYS[name];
  if (!work) return;
  event.preventDefault();
  if (!event.repeat || work === back || work === forward) work();
});

// ---------------------------------------------------------------- beginning and ending
const everything = () => Object.keys(sessionStorage).filter((name) => name.startsWith(KEPT)).map((name) => name.slice(KEPT.length));
$("sign-out").addEventListener("click", (event) => {
  const unsent = here.task && kept(textOf(here.task.task_id));
  if (unsent && !confirm("What you wrote for this task has not been submitted and will be forgotten. Sign out?")) return event.stopImmediatePropagation();
  forget(...everything());
});
if (!credential.token) forget("agent", "first"); // texts stay: who signs in again finds theirs

begin({ door: DOOR, enter: () => enter().catch((fault) => { if (!fault.signedOut) notice(fault.message); }) });
if (!$("login").hidden) $("api-key").focus();
