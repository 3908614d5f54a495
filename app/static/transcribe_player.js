// The sound of a task: playing it, its outline, and where in it one is.
import { $, clock, tell } from "/static/page.js";
import { fetched } from "/static/session.js";

const STEP = 2; // seconds back or forward
const REWIND = 1; // whoever goes on after a pause hears the last second again
const SPEEDS = [0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.1, 1.25, 1.5, 1.75, 2];

const audio = $("player");
const wave = $("wave");
const canvas = wave.querySelector("canvas");
const now = { turn: 0, peaks: [], length: 0, source: "", chosen: false, used: () => {} };
audio.preservesPitch = true;

const tenths = (s) => `${clock(s)}.${Math.floor((s % 1) * 10)}`;
const length = () => (Number.isFinite(audio.duration) ? audio.duration : now.length);
const position = () => Math.min(audio.currentTime, length());

/** Makes a task's sound the one that is heard; ``used`` is called whenever somebody plays it or moves in it. */
export async function load({ signed_audio_url: signed, duration, task_id: task }, agent, used) {
  unload();
  const { turn } = now;
  const { pathname, search } = new URL(signed); // whatever host the server believes it has, this page came from there
  Object.assign(now, { length: duration, source: pathname + search, used });
  wave.ariaValueMax = duration.toFixed(1);
  $("time-all").textContent = `/ ${tenths(duration)}`;
  audio.src = now.source;
  applySpeed();
  paint();
  const outline = await fetched(`/api/audio/peaks/${task}/${agent}`).catch(() => ({ peaks: [] })); // it can be heard without
  if (turn !== now.turn) return;
  now.peaks = outline.peaks;
  paint();
}

export function unload() {
  audio.pause();
  audio.removeAttribute("src");
  audio.load();
  Object.assign(now, { turn: now.turn + 1, peaks: [], length: 0, source: "", chosen: false, used: () => {} });
  tell("sound-error", "");
  $("sound-again").hidden = true;
  $("time-all").textContent = "";
  paint();
}

export function toggle() {
  if (!now.source) return;
  now.used();
  if (!audio.paused) return audio.pause();
  if (!now.chosen && !audio.ended) audio.currentTime = Math.max(0, audio.currentTime - REWIND);
  audio.play().catch((fault) => { if (fault.name === "NotAllowedError") tell("sound-error", "The browser did not let the sound begin. Press Play."); });
}

function seek(seconds) {
  if (!now.source) return;
  now.used();
  now.chosen = true; // who chose a place begins there
  audio.currentTime = Math.max(0, Math.min(seconds, length()));
  paint();
}
export const back = () => seek(position() - STEP);
export const forward = () => seek(position() + STEP);

let speed = SPEEDS.indexOf(1);
export const slower = () => changeSpeed(speed - 1);
export const faster = () => changeSpeed(speed + 1);
function changeSpeed(to) {
  speed = Math.max(0, Math.min(to, SPEEDS.length - 1));
  applySpeed();
}
function applySpeed() {
  audio.defaultPlaybackRate = audio.playbackRate = SPEEDS[speed]; // a new source returns to the default rate
  $("speed").textContent = `${SPEEDS[speed]}×`;
  $("slower").disabled = speed === 0;
  $("faster").disabled = speed === SPEEDS.length - 1;
}

// ---------------------------------------------------------------- what is seen
function paint() {
  const at = position();
  $("time-now").textContent = tenths(at);
  wave.ariaValueNow = at.toFixed(1);
  wave.ariaValueText = `${at.toFixed(1)} of ${length().toFixed(1)} seconds`;
  draw(at);
}

function draw(at) {
  const [width, height, scale] = [wave.clientWidth, wave.clientHeight, devicePixelRatio || 1];
  if (!width) return; // not shown
  if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) Object.assign(canvas, { width: Math.round(width * scale), height: Math.round(height * scale) });
  const style = getComputedStyle(wave);
  const [accent, soft, ink] = ["--accent", "--soft", "--ink"].map((name) => style.getPropertyValue(name));
  const [brush, bars, played] = [canvas.getContext("2d"), Math.floor(width / 3), length() ? (at / length()) * width : 0];
  brush.setTransform(scale, 0, 0, scale, 0, 0);
  brush.clearRect(0, 0, width, height);
  for (let bar = 0; bar < bars; bar++) {
    const from = Math.floor((bar / bars) * now.peaks.length);
    const till = Math.max(from + 1, Math.floor(((bar + 1) / bars) * now.peaks.length));
    const loudest = Math.max(0, ...now.peaks.slice(from, till)) / 100;
    const tall = Math.max(2, loudest * (height - 16));
    brush.fillStyle = bar * 3 < played ? accent : soft;
    brush.globalAlpha = bar * 3 < played ? 1 : 0.55;
    brush.fillRect(bar * 3, (height - tall) / 2, 2, tall);
  }
  brush.globalAlpha = 1;
  brush.fillStyle = ink;
  brush.fillRect(Math.min(played, width - 2), 0, 2, height);
}

function follow() {
  paint();
  if (!audio.paused) requestAnimationFrame(follow);
}
function showState() {
  const playing = !audio.paused;
  $("play").firstElementChild.className = `icon ${playing ? "pause" : "play"}`;
  $("play-text").textContent = playing ? "Pause" : "Play";
}
audio.addEventListener("play", () => { now.chosen = false; showState(); follow(); });
audio.addEventListener("pause", () => { showState(); paint(); });
for (const event of ["seeked", "loadedmetadata", "ended"]) audio.addEventListener(event, paint);
audio.addEventListener("loadedmetadata", () => {
  wave.ariaValueMax = length().toFixed(1);
  $("time-all").textContent = `/ ${tenths(length())}`;
});
new ResizeObserver(paint).observe(wave);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paint);

audio.addEventListener("error", () => {
  if (!now.source) return;
  tell("sound-error", "The sound could not be loaded.");
  $("sound-again").hidden = false;
});
$("sound-again").addEventListener("click", () => {
  const at = audio.currentTime;
  tell("sound-error", "");
  $("sound-again").hidden = true;
  audio.src = now.source;
  applySpeed();
  audio.currentTime = at;
  $("play").focus();
});

// ---------------------------------------------------------------- pointer and keys
const placeOf = (event) => {
  const box = wave.getBoundingClientRect();
  return ((event.clientX - box.left) / box.width) * length();
};
wave.addEventListener("pointerdown", (event) => {
  if (event.button) return;
  wave.setPointerCapture(event.pointerId);
  seek(placeOf(event));
});
wave.addEventListener("pointermove", (event) => { if (wave.hasPointerCapture(event.pointerId)) seek(placeOf(event)); });
wave.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  const to = { ArrowLeft: position() - 0.5, ArrowDown: position() - 0.5, ArrowRight: position() + 0.5, ArrowUp: position() + 0.5, PageDown: position() - 5, PageUp: position() + 5, Home: 0, End: length() }[event.key];
  if (event.key === " " || event.key === "Enter") toggle();
  else if (to === undefined) return;
  else seek(to);
  event.preventDefault();
});
for (const [id, work] of Object.entries({ play: toggle, back, forward, slower, faster })) $(id).addEventListener("click", work);
