// How long a task stays in one's hands: the server hears every minute of whoever is at work.
import { $, announce, clock, tell } from "/static/page.js";
import { api } from "/static/session.js";

const EVERY = 60_000; // ms between two signs of life
const AFTER_FAILURE = 10_000;
const AT_WORK = 600_000; // who did nothing for so long is away
const SHOWN_BELOW = 180; // seconds that are left

const now = { task: null, agent: null, until: 0, next: 0, active: 0, lost: null };

/** The task is ours until ``lease`` by the server's clock; ``lost`` is called with the server's words when it is no more. */
export function hold(task, agent, answer, lease, lost) {
  Object.assign(now, { task, agent, lost, next: Date.now() + EVERY, active: Date.now() });
  setEnd(answer, lease);
  tick();
}
export function release() {
  now.task = null;
  tell("time-left", "");
}
/** Somebody typed, played or moved. */
export function atWork() {
  now.active = Date.now();
  if (now.task !== null && Date.now() >= now.next) beat();
}

// Clocks of phones and laptops go wrong, but what is left goes by at the same pace everywhere.
function setEnd(answer, lease) {
  const said = Date.parse(answer.headers.get("Date"));
  now.until = Date.now() + (Date.parse(lease) - (Number.isNaN(said) ? Date.now() : said));
}

export const beatOf = (task, agent) => api(`/api/tasks/${task}/heartbeat`, { method: "POST", body: { agent_id: agent } });

async function beat() {
  const { task, agent } = now;
  now.next = Date.now() + EVERY;
  try {
    const answer = await beatOf(task, agent);
    const { lease_until: lease } = await answer.json();
    if (now.task === task) setEnd(answer, lease);
  } catch (fault) {
    if (now.task !== task) return;
    if (fault.status === 403 || fault.status === 404) {
      release();
      now.lost(fault.message);
    } else now.next = Date.now() + AFTER_FAILURE;
  }
}

function tick() {
  if (now.task === null) return;
  const left = (now.until - Date.now()) / 1000;
  const busy = Date.now() - now.active < AT_WORK;
  // When it has run out, too: only the server knows.
  if (Date.now() >= now.next && (busy || left <= 0)) beat();
  const hidden = left >= SHOWN_BELOW;
  if (!hidden && $("time-left").hidden) announce("Less than three minutes are left for this task.");
  tell("time-left", hidden ? "" : left > 0 ? `${clock(left)} left to hand this in.` : "The time for this task has run out.");
}
setInterval(tick, 1000);
