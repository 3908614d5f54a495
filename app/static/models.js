// The words that are trained: their reports, thresholds, versions, comparisons.
import { $, announce, during, joined, make, notice, report as complain, tell } from "/static/page.js";
import { api, fetched } from "/static/session.js";
import { follow, slug } from "/static/training.js";
import * as trying from "/static/trying.js";
import { consequence, familiesTable, inOrder, plainly, pointsTable, rate, table, told, verdict, where } from "/static/verdict.js";

const shown = { id: null, model: null, report: null, turn: 0 };
let models = [];
const at = (id, rest = "") => `/api/models/${encodeURIComponent(id)}${rest}`;
const day = (time) => (time ? new Date(time).toLocaleDateString(undefined, { day: "numeric", month: "short", year: "numeric" }) : "");
const fits = (id) => (model) => model.id === id || slug(model.wake_word) === id.split("@")[0];

// ---------------------------------------------------------------- the list
export async function loadModels() {
  ({ models } = await fetched("/api/models"));
  $("models").replaceChildren(...models.map((model) => make("li", {}, make("a", { className: "word", href: `#model/${model.id}` },
    make("strong", { textContent: model.wake_word }), make("span", { textContent: joined(model.version && `version ${model.version}`, model.model_type || day(model.created_at)) })))),
  make("li", {}, make("a", { className: "word add", href: "#new" }, make("strong", { textContent: "Train a word" }), make("span", { textContent: "from one to five recordings" }))));
  $("models-empty").hidden = models.length > 0;
  trying.offer(models);
  mark();
  return models;
}

/** Shows which of the list is open. */
export function mark() {
  for (const link of $("models").querySelectorAll("a")) {
    const named = link.getAttribute("href");
    const here = shown.id ? named === `#model/${shown.id.split("@")[0]}` : named === (location.hash || "#new");
    link.ariaCurrent = here ? "true" : null;
  }
}

// ---------------------------------------------------------------- one of them
export async function showModel(id) {
  const turn = ++shown.turn;
  if (id !== shown.id) Object.assign(shown, { id, model: null, report: null });
  mark();
  if (!id) return;
  const model = await fetched(at(id));
  const found = await fetched(at(id, "/report")).catch(() => ({}));
  if (turn !== shown.turn) return;
  Object.assign(shown, { model, report: { threshold: model.threshold, ...found } });
  paint();
  trying.suggest(id, id.includes("@") ? `${model.wake_word}, version ${model.version}` : model.wake_word);
  showDet(turn, id);
  showVersions(turn).catch(complain);
}

function paint() {
  const { id, model, report } = shown;
  const used = model.model_type_used ?? report.model_type_used ?? model.model_type;
  $("model-eyebrow").textContent = joined(model.version && `version ${model.version}`, used, day(model.created_at));
  $("model-title").textContent = model.wake_word;
  $("model-warnings").replaceChildren(...(report.warnings ?? []).map((text) => make("li", { textContent: text })));
  $("model-warnings").hidden = !report.warnings?.length;
  $("threshold").value = model.threshold;
  paintThreshold();
  const fired = (report.near_words ?? []).filter((near) => near.fired > 0);
  $("near").hidden = !report.near_words?.length;
  $("near-says").textContent = fired.length ? "Nearly the same, and taken for it at the threshold that it came with:" : `None of ${report.near_words?.length} words that sound like it.`;
  $("near-words").replaceChildren(...fired.map((near) => make("li", {}, make("span", { textContent: near.text }), make("small", { textContent: `${near.fired} of ${near.of}` }))));
  const families = report.families ?? {};
  $("families").hidden = !Object.keys(families).length;
  $("families-table").replaceChildren(familiesTable(families));
  $("model-figures").replaceChildren(...facts().flatMap(([name, value]) => [make("dt", { textContent: name }), make("dd", { textContent: value })]));
  $("again-form").reset();
  tell("again-error", "");
  $("compared").replaceChildren();
  $("model-activate").hidden = model.active !== false;
  $("model-delete").ariaLabel = `Delete ${id.includes("@") ? `version ${id.split("@")[1]} of ` : ""}${model.wake_word}`;
}

function facts() {
  const { model, report } = shown;
  const metrics = Object.entries(model.metrics ?? {}).map(([name, value]) => [name.replace("_", " "), value?.toFixed?.(3)]);
  const given = { ...report.training_config, ...model.training_config };
  const settings = Object.entries(given).filter(([, value]) => ["number", "string", "boolean"].includes(typeof value)).map(([name, value]) => [name.replaceAll("_", " "), String(value)]);
  const data = Object.entries(report.data_stats ?? {}).filter(([, value]) => typeof value === "number").map(([name, value]) => [name.replaceAll("_", " "), value.toLocaleString()]);
  const asked = model.model_type_requested ?? report.model_type_requested;
  return [
    ["asked for", asked], ["because", model.reason || report.reason],
    ...metrics, ["trainable numbers", model.trainable_params?.toLocaleString()], ["seed", report.seed], ...data, ...settings,
  ].filter(([, value]) => value !== undefined && value !== null && value !== "");
}

async function showDet(turn, id) {
  $("det").hidden = true;
  const answer = await api(at(id, "/det.png")).catch(() => null);
  const picture = await answer?.blob();
  if (!picture || turn !== shown.turn) return;
  const reader = new FileReader(); // a data address: the page's policy lets pictures come from nowhere else
  reader.onload = () => {
    if (turn !== shown.turn) return;
    $("det-image").src = reader.result;
    $("det-image").alt = `Curve of misses against false alarms an hour of “${shown.model.wake_word}”. The table of thresholds above has its figures.`;
    $("det").hidden = false;
  };
  reader.readAsDataURL(picture);
}

// ---------------------------------------------------------------- threshold
function paintThreshold() {
  const { model, report } = shown;
  const threshold = Number($("threshold").value);
  const saved = Math.abs(threshold - model.threshold) < 0.0026;
  const value = saved ? model.threshold : threshold; // the slider has steps, the model need not
  const point = consequence(report, value);
  $("threshold-value").textContent = value.toFixed(3);
  $("threshold").ariaValueText = `${value.toFixed(3)}. ${told(point)}`;
  $("threshold-says").textContent = told(point);
  $("threshold-save").disabled = saved;
  $("model-verdict").textContent = verdict(report, model.threshold);
  $("model-plain").replaceChildren(...plainly(report, value));
  $("measured").hidden = !$("model-plain").childElementCount;
  $("points").replaceChildren(pointsTable(report, value), ...((report.operating_points ?? []).some((each) => each.supported === false)
    ? [make("p", { className: "hint", textContent: "* These hours of speech are too few to show so low a rate: the threshold is carried on from what they show." })] : []));
  $("points").hidden = !report.operating_points?.length;
}
$("threshold").addEventListener("input", paintThreshold);
$("threshold-save").addEventListener("click", () => during($("threshold-save"), async () => {
  const { id, turn } = shown;
  const threshold = Number($("threshold").value);
  const answer = await fetched(at(id), { method: "PATCH", body: { threshold } });
  if (turn !== shown.turn) return;
  shown.model.threshold = answer.threshold ?? threshold;
  paintThreshold();
  announce(`Threshold ${shown.model.threshold.toFixed(3)} is saved.`);
  trying.again(id);
}).then(() => { if (shown.model) paintThreshold(); })); // which button may be pressed, "during" does not know

// ---------------------------------------------------------------- what can be done with it
$("model-try").addEventListener("click", () => {
  trying.choose(shown.id, shown.model.wake_word); // it is in the list by now
  $("try").scrollIntoView({ block: "center" });
  $("listen").focus({ preventScroll: true });
  if (!$("listen").disabled) trying.start();
});
$("model-download").addEventListener("click", () => during($("model-download"), async () => {
  const answer = await api(at(shown.id, "/download"));
  const given = /filename="?([^";]+)"?/.exec(answer.headers.get("Content-Disposition") ?? "");
  const url = URL.createObjectURL(await answer.blob());
  make("a", { href: url, download: given?.[1] ?? `${shown.id}.zip` }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}));
$("model-activate").addEventListener("click", () => during($("model-activate"), async () => {
  const { id } = shown;
  await fetched(at(id, "/activate"), { method: "POST" });
  announce("This version is the one in use now.");
  await loadModels();
  await showModel(id);
}));
$("model-delete").addEventListener("click", () => during($("model-delete"), async () => {
  const { id, model } = shown;
  const what = id.includes("@") ? `version ${id.split("@")[1]} of “${model.wake_word}”` : `“${model.wake_word}” with all its versions`;
  if (!confirm(`Delete ${what}? It cannot be brought back.`)) return;
  await fetched(at(id), { method: "DELETE" });
  location.hash = "";
  await loadModels();
}));

$("again-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const body = new FormData();
  for (const field of event.target.elements) for (const file of field.files ?? []) body.append(field.name, file, file.name);
  tell("again-error", "");
  return during($("again-go"), async () => {
    const { model } = shown;
    const begun = await fetched(at(slug(model.wake_word), "/retrain"), { method: "POST", body }).catch((fault) => {
      if (fault.signedOut) throw fault;
      tell("again-error", fault.message);
    });
    if (begun) follow(begun, model.wake_word);
  });
});

// ---------------------------------------------------------------- versions and comparison
async function showVersions(turn) {
  const { versions = [] } = await fetched(at(slug(shown.model.wake_word), "/versions"));
  if (turn !== shown.turn) return;
  const name = (version) => version.name ?? `${slug(shown.model.wake_word)}@${version.version}`;
  $("versions").hidden = versions.length < 2;
  $("version-list").replaceChildren(...versions.map((version) => {
    const here = version.version === shown.model.version;
    return make("li", {}, make("a", { href: `#model/${name(version)}`, textContent: `Version ${version.version}`, ariaCurrent: here ? "true" : null }),
      make("span", { className: "hint", textContent: joined(day(version.created_at), version.model_type, version.active && "in use") }));
  }));
  const others = [...versions.filter((version) => version.version !== shown.model.version).map((version) => [name(version), `version ${version.version}`]),
    ...models.filter((model) => !fits(shown.id)(model)).map((model) => [model.id, model.wake_word])];
  $("compare-with").replaceChildren(...others.map(([value, textContent]) => make("option", { value, textContent })));
  $("compare-form").hidden = !others.length;
  $("compared").replaceChildren(...(others.length ? [] : [make("p", { className: "hint", textContent: "There is nothing to compare it with yet." })]));
}

$("compare-form").addEventListener("submit", (event) => {
  event.preventDefault();
  return during(event.submitter ?? $("compare-with"), async () => {
    const [a, b] = [shown.id, $("compare-with").value];
    const answer = await fetched(`/api/models/compare?a=${encodeURIComponent(a)}&b=${encodeURIComponent(b)}`);
    const [one, other] = [answer.a, answer.b];
    const [point, against] = [one, other].map((side) => side.operating_point ?? {});
    const conditions = inOrder(new Set([point, against].flatMap((each) => Object.keys(each.misses ?? {}))));
    const share = (each, name) => (each.misses?.[name] === undefined ? "-" : `${(each.misses[name] * 100).toFixed(1)} %`);
    const row = (...cells) => ({ cells: cells.map((value) => value ?? "-") });
    $("compared").replaceChildren(table(["", one.name ?? a, other.name ?? b], [
      row("Threshold", one.threshold?.toFixed(3), other.threshold?.toFixed(3)),
      ...conditions.map((name) => row(`Missed ${where(name)}`, share(point, name), share(against, name))),
      row("False alarms", ...[point, against].map((each) => (each.hours > 0 ? `${each.events} in ${each.hours.toPrecision(2)} h (≤ ${rate(each.bound_per_hour)}/h)` : "-"))),
      row("F1", ...[one, other].map((each) => each.metrics?.f1_score?.toFixed(3))),
      row("Trainable numbers", ...[one, other].map((each) => each.trainable_params?.toLocaleString())),
    ], "The two side by side"));
  }).catch((fault) => notice(fault.message));
});
