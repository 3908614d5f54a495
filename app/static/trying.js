// A word tried live: microphone to detector and back; and by file.
import { scorePlot } from "/static/charts.js";
import { doorway } from "/static/live.js";
import { openMicrophone, peakOf, showLevel, toPcm16, whyNoMicrophone } from "/static/microphone.js";
import { $, announce, count, make, tell } from "/static/page.js";
import { fetched } from "/static/session.js";

const SHOWN_SECONDS = 12;
const BEHIND_BYTES = 512 * 1024; // some five seconds of sound that the line has not taken
const WHY_CLOSED = {
  4401: "The server did not accept the sign-in.",
  4403: "This account may not listen.",
  4404: "This word is not there any more.",
  4429: "Too many are listening already.",
};
const state = { microphone: null, socket: null, turn: 0, scores: [], heard: 0, threshold: 0.5, kept: 0, loud: 0, stopping: "" };
const say = (text) => { $("listen-state").textContent = text; };
const seconds = () => performance.now() / 1000;

// ---------------------------------------------------------------- which word
export function offer(models) {
  const before = $("try-model").value;
  $("try-model").replaceChildren(...models.map(({ id, wake_word: word }) => make("option", { value: id, textContent: word })));
  if (models.some(({ id }) => id === before)) $("try-model").value = before;
  $("try-none").hidden = models.length > 0;
  $("try-with").hidden = !models.length;
  if (!models.length) stop();
}

/** Chooses a word that is being looked at, unless another is listened for. */
export const suggest = (id, name) => { if (!state.microphone) choose(id, name); };

/** Chooses a word, or a version of one that is not in the list. */
export function choose(id, name) {
  if (![...$("try-model").options].some((option) => option.value === id)) $("try-model").append(make("option", { value: id, textContent: name }));
  if ($("try-model").value === id) return;
  $("try-model").value = id;
  if (state.socket) start();
}
$("try-model").addEventListener("change", () => {
  $("file-result").textContent = "";
  if (state.socket) start();
});

/** Begins anew if it listens with this model: its threshold has changed. */
export const again = (id) => { if (state.socket && $("try-model").value === id) start(); };

// ---------------------------------------------------------------- listening
export async function start() {
  stop();
  const turn = ++state.turn;
  Object.assign(state, { scores: [], heard: 0, stopping: "" });
  paintButton(true);
  say("Opening the microphone …");
  try {
    const microphone = await openMicrophone((piece) => hear(turn, piece), () => finish("The microphone is gone."));
    if (turn !== state.turn) return microphone.close();
    state.microphone = microphone;
    tell("try-microphone", "");
    say("Connecting …");
    const address = await doorway(`/api/test/ws/${encodeURIComponent($("try-model").value)}`);
    if (turn !== state.turn) return;
    address.searchParams.set("sample_rate", Math.round(microphone.rate));
    const socket = new WebSocket(address);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => { if (turn === state.turn) listening(); };
    socket.onmessage = ({ data }) => { if (turn === state.turn) receive(JSON.parse(data)); };
    socket.onclose = ({ code, reason }) => { if (turn === state.turn) finish(WHY_CLOSED[code] ?? (reason || "The connection is lost.")); };
    state.socket = socket;
  } catch (fault) {
    if (turn !== state.turn) return;
    stop();
    say("");
    tell("try-microphone", fault.message);
  }
}

function listening() {
  say("Listening: say it.");
  $("hearing").hidden = false;
  $("heard").textContent = "Not heard yet";
  $("capture-result").textContent = "Either keeps the last three seconds for the next training.";
  requestAnimationFrame(draw);
}

function hear(turn, piece) {
  if (turn !== state.turn) return;
  state.loud = Math.max(state.loud * 0.8, peakOf(piece));
  showLevel($("try-level"), state.loud);
  const { socket } = state;
  if (socket?.readyState !== WebSocket.OPEN) return;
  if (socket.bufferedAmount > BEHIND_BYTES) return say("The line is slower than you speak: some is left out.");
  socket.send(toPcm16(piece));
}

function receive(message) {
  if (message.type === "detection") scored(message);
  else if (message.type === "captured") captured();
  else if (message.type === "error") $("capture-result").textContent = message.message ?? message.error ?? "The server did not understand.";
}

function scored({ confidence, detected, threshold }) {
  const at = seconds();
  Object.assign(state, { threshold });
  state.scores.push({ at, score: confidence, heard: detected });
  while (state.scores[0].at < at - SHOWN_SECONDS - 1) state.scores.shift();
  $("score-bar").style.transform = `scaleX(${confidence})`;
  $("score-mark").style.left = `${threshold * 100}%`;
  $("score").ariaValueNow = confidence.toFixed(2);
  $("score-now").textContent = confidence.toFixed(2);
  if (!detected) return;
  state.heard++;
  const word = $("try-model").selectedOptions[0].textContent;
  $("heard").textContent = `Heard ${state.heard === 1 ? "once" : `${state.heard} times`}`;
  announce(`Heard “${word}”, ${confidence.toFixed(2)}.`);
  for (const animation of $("try").getAnimations()) animation.cancel();
  $("try").animate([{ backgroundColor: "var(--wash)", borderColor: "var(--good)", boxShadow: "inset 0 0 0 .2rem var(--good)" }, {}], { duration: 1400, easing: "ease-out" });
}

function draw() {
  if (!state.socket) return;
  $("score-plot").replaceChildren(scorePlot(state.scores, seconds(), state.threshold, SHOWN_SECONDS));
  setTimeout(() => requestAnimationFrame(draw), 100);
}

function finish(why) {
  stop();
  say(why);
  announce(why);
}
export function stop() {
  state.turn++;
  if (state.socket) Object.assign(state.socket, { onopen: null, onclose: null, onmessage: null }).close();
  state.microphone?.close();
  Object.assign(state, { socket: null, microphone: null, loud: 0 });
  showLevel($("try-level"), 0);
  paintButton(false);
  $("hearing").hidden = true;
}
function paintButton(on) {
  $("listen").ariaPressed = String(on);
  $("listen").classList.toggle("on", on);
  $("listen-text").textContent = on ? "Stop" : "Listen";
}
$("listen").addEventListener("click", () => {
  if ($("listen").ariaPressed !== "true") return start();
  stop();
  return say(state.heard ? `Heard ${count(state.heard, "time")}.` : "");
});
addEventListener("pagehide", stop);

// ---------------------------------------------------------------- it was wrong
function capture(kind) {
  if (state.socket?.readyState !== WebSocket.OPEN) return;
  state.socket.send(JSON.stringify({ type: "capture", kind }));
  $("capture-result").textContent = "Keeping …";
}
$("false-alarm").addEventListener("click", () => capture("false_alarm"));
$("missed").addEventListener("click", () => capture("miss"));
function captured() {
  state.kept++;
  $("capture-result").textContent = `${count(state.kept, "clip")} kept: “Train again” learns from ${state.kept === 1 ? "it" : "them"}.`;
}

// ---------------------------------------------------------------- by file
$("try-file").addEventListener("change", async ({ target }) => {
  const [file] = target.files;
  target.value = "";
  if (!file) return;
  const body = new FormData();
  body.append("model_id", $("try-model").value);
  body.append("audio", file, file.name);
  $("file-result").textContent = `Listening to ${file.name} …`;
  try {
    const { detected, confidence, threshold, detections, processing_time_ms: took } = await fetched("/api/test/file", { method: "POST", body });
    const where = detections?.map((each) => `${each.time_seconds.toFixed(1)} s`).join(", ");
    $("file-result").replaceChildren(make("strong", { textContent: detected ? "Heard. " : "Not heard. " }),
      `${file.name}: ${confidence.toFixed(2)} at most, threshold ${threshold.toFixed(2)}, in ${Math.round(took)} ms.`, ...(where ? [` At ${where}.`] : []));
  } catch (fault) {
    if (!fault.signedOut) $("file-result").textContent = fault.message;
  }
});

export function startTrying() {
  const why = whyNoMicrophone();
  tell("try-microphone", why);
  $("listen").disabled = Boolean(why);
}
