// The page at "/wakewords": train a word, watch it, read what came out, try it. No build step, no library, nothing from outside.
import { heardOfCache, startCache } from "/static/cache.js";
import { listen } from "/static/live.js";
import { loadModels, mark, showModel } from "/static/models.js";
import { $, announce, joined, report, span } from "/static/page.js";
import { begin, fetched, request } from "/static/session.js";
import { heardOf, loadTrainings, showTraining, slug, startTrainings } from "/static/training.js";
import { startTrying } from "/static/trying.js";

let turns = 0;
const ARTICLES = ["new", "training", "model"];

/** Shows what the address names: #new, #training/ID, #model/ID; the first word there is when it names nothing. */
async function route(moved = true) {
  const [name, ...rest] = decodeURIComponent(location.hash.slice(1)).split("/");
  const id = rest.join("/");
  if (name && !ARTICLES.includes(name)) return; // a heading of this page
  const chosen = ARTICLES.includes(name) && (name === "new" || id) ? name : "new";
  const turn = ++turns;
  for (const article of ARTICLES) $(article).hidden = true; // until it has what it is about: its buttons act on that
  await Promise.all([showTraining(chosen === "training" ? id : null), showModel(chosen === "model" ? id : null)]);
  if (turn !== turns) return; // something else was chosen meanwhile
  $(chosen).hidden = false;
  mark();
  if (!moved) return;
  $(`${chosen}-title`).focus({ preventScroll: true });
  if ($(chosen).getBoundingClientRect().top < 0 || $(chosen).getBoundingClientRect().top > innerHeight / 2) $(chosen).scrollIntoView();
}
addEventListener("hashchange", () => { if (!$("app").hidden) route().catch(report); });

async function ended(training, watched) {
  await loadModels().catch(report);
  if (training.status !== "completed" || !watched) return;
  location.hash = `model/${slug(training.wake_word)}`;
  announce(`“${training.wake_word}” is trained.`);
}

function receive(type, data) {
  if (type === "stats_update") showStats(data);
  if (type !== "job.progress" && type !== "job.finished") return;
  heardOf(data);
  heardOfCache(data);
}
function showStats({ clients_connected: clients, uptime_seconds: up }) {
  $("stats").textContent = joined(`${clients} connected`, `up ${span(up)}`);
}

begin({
  door: "/api/models",
  enter() {
    request("/docs", { method: "HEAD" }).then((answer) => { $("link-docs").hidden = answer.status !== 200; }, () => {});
    startTrying();
    startTrainings(ended);
    startCache().catch(report);
    loadModels().then((models) => {
      if (!location.hash && models.length) history.replaceState(null, "", `#model/${models[0].id}`);
      return route(false);
    }).catch(report);
    listen(loadTrainings, receive);
  },
});
