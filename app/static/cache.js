// The cache of negative sounds: people who say something else.
import { $, during, joined, make, tell } from "/static/page.js";
import { fetched } from "/static/session.js";

const KIND = "wakeword.negatives";
let job = null;

export async function loadCache() {
  const { available, chunk_count: chunks, size_mb: size, last_built: built, hours, sources = [], job_id: building } = await fetched("/api/cache/info");
  $("cache-says").textContent = available
    ? joined(`${hours ? `${hours.toPrecision(2)} h` : `${chunks.toLocaleString()} pieces`} of other people's speech`, `${Math.round(size).toLocaleString()} MB`, built && `built ${new Date(built).toLocaleDateString()}`)
    : "Not built yet. Without real speech that is not the word, a detector cannot learn what to leave alone, nor can anybody say how often it would fire.";
  $("cache-build").textContent = available ? "Build again" : "Build";
  $("cache-clear").hidden = !available;
  $("cache-from").hidden = !sources.length;
  $("cache-sources").replaceChildren(...sources.map(({ name, language, speaker, licence, credit, hours: each }) => make("li", {},
    make("strong", { textContent: name }), make("p", { className: "hint", textContent: joined(language, speaker, `${(each * 60).toFixed(0)} min`, licence, credit) }))));
  return building;
}

/** Something happened to a job. */
export function heardOfCache(told) {
  if (told.kind !== KIND && String(told.id) !== job) return;
  job = String(told.id);
  const running = ["queued", "running", "paused"].includes(told.state);
  $("cache-job").hidden = !running;
  $("cache-bar").value = told.progress ?? 0;
  $("cache-phase").textContent = joined(`${Math.floor((told.progress ?? 0) * 100)} %`, told.state === "queued" ? "waiting for the training worker" : told.phase);
  $("cache-build").disabled = $("cache-clear").disabled = running;
  if (running) return tell("cache-result", "");
  const fault = told.error_message ?? told.error?.message ?? told.error;
  tell("cache-result", told.state === "failed" && typeof fault === "string" ? fault : "");
  return loadCache().catch(() => {});
}

const asked = (button, path, method) => during(button, async () => {
  const answer = await fetched(path, { method }).catch((fault) => {
    if (fault.signedOut) throw fault;
    tell("cache-result", fault.message);
  });
  if (!answer) return;
  tell("cache-result", answer.message);
  if (answer.job_id) heardOfCache({ id: answer.job_id, kind: KIND, state: "queued", progress: 0 });
  else await loadCache();
});
$("cache-build").addEventListener("click", ({ target }) => asked(target, "/api/cache/build", "POST"));
$("cache-clear").addEventListener("click", ({ target }) => {
  if (confirm("Remove all negative sounds? Building them again takes some minutes.")) asked(target, "/api/cache", "DELETE");
});

export async function startCache() {
  const { role } = await fetched("/api/auth/me").catch(() => ({}));
  $("cache-actions").hidden = role !== "admin";
  const building = await loadCache();
  if (building) heardOfCache(await fetched(`/api/jobs/${encodeURIComponent(building)}`));
}
