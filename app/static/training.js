// Starting a training, and watching it: phase, epochs, losses.
import { lossCurve } from "/static/charts.js";
import { $, announce, during, joined, make, tell } from "/static/page.js";
import { fetched, post } from "/static/session.js";
import * as takes from "/static/takes.js";

const KEPT_ROWS = 12; // ended trainings kept in view; those still running are always shown
const EVERY_MS = 3000; // while something runs, also when no event comes
const trainings = new Map(); // job id -> what is known of it
let onScreen = null; // the job id whose progress is shown
let ended = () => {};
const active = ({ status }) => ["pending", "training", "paused"].includes(status);
const WORDS = { pending: "waiting", completed: "done" };
const CHIPS = { pending: "queued", training: "running", completed: "succeeded" }; // the classes that chips have

// ---------------------------------------------------------------- the form
const form = $("new-form");
const options = () => [...form.elements].filter((field) => field.name && field.name !== "wake_word");
function wanted() {
  const body = new FormData();
  body.append("wake_word", $("word").value.trim());
  for (const [blob, name] of takes.files()) body.append("audio_files", blob, name);
  for (const field of options()) body.append(field.name, field.type === "checkbox" ? String(field.checked) : field.value);
  return body;
}

function objection() {
  if ($("word").value.trim().length < 2) return [$("word"), "Which word? 2 to 30 letters and spaces."];
  if (takes.missing()) return [$("record").disabled ? $("take-files") : $("record"), takes.missing()];
  const odd = options().find((field) => !field.checkValidity());
  return odd ? [odd, `${odd.labels[0].firstChild.textContent}: ${odd.validationMessage}`] : null;
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const [field, why] = objection() ?? [];
  tell("new-error", why ?? "");
  $("train-result").textContent = "";
  if (why) {
    field.closest("details")?.setAttribute("open", "");
    return field.focus();
  }
  return during($("train"), async () => {
    $("train-result").textContent = "Sending …";
    const body = wanted();
    const begun = await fetched("/api/train/start", { method: "POST", body }).catch((fault) => {
      if (fault.signedOut) throw fault;
      tell("new-error", fault.message); // beside the button that was pressed, where the eye is
    }).finally(() => { $("train-result").textContent = ""; });
    if (!begun) return;
    follow(begun, $("word").value.trim());
    form.reset();
    takes.forget();
  });
});
const content = () => tell("new-error", ""); // what was wrong may be right now
form.addEventListener("input", content);
$("options-reset").addEventListener("click", () => {
  const word = $("word").value;
  form.reset();
  $("word").value = word;
});

/** Shows a training that has just begun. */
export function follow(begun, word) {
  take({ created_at: new Date().toISOString(), wake_word: word, progress: 0, ...begun });
  location.hash = `training/${begun.job_id}`;
}

// ---------------------------------------------------------------- what is known
export async function loadTrainings() {
  const { jobs } = await fetched("/api/train/jobs");
  const told = new Set(jobs.map((job) => job.job_id));
  for (const [id, { row }] of trainings) {
    if (told.has(id)) continue;
    row.remove(); // removed elsewhere meanwhile
    trainings.delete(id);
  }
  jobs.forEach((job) => take(job));
  await Promise.all([...trainings.values()].filter((each) => active(each) || each.job_id === onScreen).map(({ job_id }) => refresh(job_id)));
}

async function refresh(id) {
  const status = await fetched(`/api/train/status/${encodeURIComponent(id)}`);
  take(status);
}

function take(told) {
  const old = trainings.get(told.job_id);
  const training = { row: old?.row ?? make("li", { className: "job" }), history: [], ...old, ...told };
  trainings.set(told.job_id, training);
  paintRow(training);
  if (onScreen === told.job_id) paint(training);
  if (!old || active(old) !== active(training)) order();
  const quarter = Math.floor((training.progress ?? 0) / 25);
  if (old?.status === "training" && training.status === "training" && quarter > Math.floor((old.progress ?? 0) / 25)) announce(`Training of ${training.wake_word}: ${quarter * 25} percent.`);
  if (old && old.status !== training.status) {
    announce(`Training of ${training.wake_word}: ${WORDS[training.status] ?? training.status}.`);
    if (!active(training)) ended(training, onScreen === training.job_id);
  }
}

// ---------------------------------------------------------------- the list beside
function paintRow({ job_id: id, row, wake_word: word, status, progress, phase }) {
  const running = active({ status });
  const link = make("a", { href: `#training/${id}`, textContent: word ?? "A word" });
  row.replaceChildren(make("div", { className: "job-head" }, make("strong", {}, link), make("span", { className: `chip ${CHIPS[status] ?? status}`, textContent: WORDS[status] ?? status })));
  row.dataset.id = id;
  row.dataset.state = status;
  if (running) row.append(make("progress", { max: 100, value: progress ?? 0, ariaLabel: `Training of ${word}` }),
    make("p", { className: "hint", textContent: joined(`${Math.floor(progress ?? 0)} %`, phase) }));
}

function order() {
  const all = [...trainings.values()].sort((a, b) => active(b) - active(a) || String(b.created_at).localeCompare(String(a.created_at)));
  const focused = document.activeElement;
  $("trainings").replaceChildren(...all.filter((each, i) => active(each) || i < KEPT_ROWS).map(({ row }) => row));
  if (focused !== document.activeElement) focused.focus({ preventScroll: true });
  $("trainings-empty").hidden = all.length > 0;
  const running = all.filter(active).length;
  Object.assign($("trainings-count"), { textContent: running, hidden: !running });
}

// ---------------------------------------------------------------- one training
export async function showTraining(id) {
  onScreen = id;
  if (!id) return;
  if (trainings.has(id)) paint(trainings.get(id));
  await refresh(id);
}

const figures = (element, rows) => element.replaceChildren(...rows.filter(([, value]) => value !== undefined && value !== null).flatMap(([name, value]) => [make("dt", { textContent: name }), make("dd", { textContent: value })]));
const DATA = { recordings: "Recordings", positive_samples: "Samples of the word", negative_samples: "Samples of other sound", train_size: "Learned from", val_size: "Checked with" };

function paint(training) {
  const { status, progress = 0, phase, current_epoch: epoch, total_epochs: total, metrics, data_stats: data, warnings, history } = training;
  $("training-title").textContent = training.wake_word ?? "";
  Object.assign($("training-state"), { textContent: WORDS[status] ?? status, className: `chip ${CHIPS[status] ?? status}` });
  $("training-time").textContent = joined(training.elapsed_time, training.model_type_used && `${training.model_type_used}${training.reason ? `: ${training.reason}` : ""}`);
  Object.assign($("training-bar"), { value: progress, hidden: !active(training) });
  $("training-phase").textContent = active(training) ? joined(`${Math.floor(progress)} %`, status === "paused" ? "paused" : phase ?? "waiting for the training worker", epoch > 0 && `epoch ${epoch}${total ? ` of at most ${total}` : ""}`) : "";
  tell("training-error", status === "failed" ? training.error?.message || "It failed, and the server does not say why." : "");
  $("training-warnings").replaceChildren(...(warnings ?? []).map((text) => make("li", { textContent: text })));
  $("training-warnings").hidden = !warnings?.length;
  $("curve").hidden = !history.length;
  if (history.length) {
    $("curve-plot").replaceChildren(lossCurve(history, total));
    const last = history.at(-1);
    const loss = (value) => (Number.isFinite(value) ? value.toFixed(3) : "-");
    $("curve-text").textContent = `Loss by epoch. At epoch ${last.epoch}: ${loss(last.train_loss)} in training, ${loss(last.val_loss)} in validation`
      + (Number.isFinite(metrics?.val_f1) ? `; F1 ${metrics.val_f1.toFixed(3)}.` : ".");
  }
  figures($("training-data"), Object.entries(DATA).map(([name, word]) => [word, data?.[name]?.toLocaleString()]));
  Object.assign($("training-model"), { hidden: status !== "completed" || !training.model_id, href: `#model/${training.model_id}` });
  $("training-pause").hidden = !["pending", "training"].includes(status);
  $("training-resume").hidden = status !== "paused";
  $("training-cancel").hidden = !active(training);
  $("training-retry").hidden = !["failed", "cancelled"].includes(status);
  $("training-delete").hidden = active(training);
}
export const slug = (word) => (word ?? "").toLowerCase().split(/\s+/).filter(Boolean).join("-");

const acting = (button, work) => $(button).addEventListener("click", () => during($(button), () => work(onScreen)));
for (const verb of ["pause", "resume", "cancel", "retry"]) {
  acting(`training-${verb}`, async (id) => {
    await post(`/api/jobs/${encodeURIComponent(id)}/${verb}`);
    await refresh(id);
  });
}
acting("training-delete", async (id) => {
  await fetched(`/api/train/${encodeURIComponent(id)}`, { method: "DELETE" });
  location.hash = "";
  await loadTrainings();
});

// ---------------------------------------------------------------- news
const due = new Map(); // job id -> timer: events may come faster than anybody looks

/** Something happened to a job. */
export function heardOf(job) {
  const id = String(job.id ?? job.job_id);
  if (!trainings.has(id) || due.has(id)) return;
  due.set(id, setTimeout(() => {
    due.delete(id);
    refresh(id).catch(() => {}); // the next news, or the clock below, tries again
  }, 300));
}

export function startTrainings(whenEnded) {
  ended = whenEnded;
  takes.startTakes(content);
  setInterval(() => {
    if (document.hidden) return;
    for (const training of trainings.values()) if (active(training)) heardOf(training);
  }, EVERY_MS);
}
