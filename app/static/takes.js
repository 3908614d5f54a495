// Recordings of the word: taken here or given as files, heard again, thrown away.
import { $, announce, count, make, tell } from "/static/page.js";
import { waveform } from "/static/charts.js";
import { openMicrophone, peakOf, showLevel, toWav, whyNoMicrophone } from "/static/microphone.js";

const MOST = 5;
const SECONDS = 3; // a word and a breath on both sides
const takes = []; // {blob, name, seconds, samples, url, row, says}
const recording = { microphone: null, pieces: [], length: 0, opening: false };
const player = $("player");
let playing = null;
let changed = () => {};

export const files = () => takes.map(({ blob, name }) => [blob, name]);
export function forget() {
  for (const take of [...takes]) drop(take);
}

// ---------------------------------------------------------------- recording
const microphoneSays = (text) => tell("new-microphone", text);

async function begin() {
  if (recording.opening) return;
  recording.opening = true;
  paint();
  try {
    recording.pieces = [];
    recording.length = 0;
    recording.microphone = await openMicrophone(hear, finish);
    microphoneSays("");
    announce("Recording. Say the word.");
  } catch (fault) {
    microphoneSays(fault.message);
  }
  recording.opening = false;
  paint();
}

function hear(piece) {
  if (!recording.microphone) return;
  recording.pieces.push(piece);
  recording.length += piece.length;
  showLevel($("record-level"), peakOf(piece));
  const left = SECONDS - recording.length / recording.microphone.rate;
  $("record-text").textContent = `Stop (${Math.max(0, left).toFixed(1)} s)`;
  if (left <= 0) finish();
}

function finish() {
  const { microphone, pieces, length } = recording;
  if (!microphone) return;
  recording.microphone = null;
  microphone.close();
  const samples = new Float32Array(length);
  let at = 0;
  for (const piece of pieces) {
    samples.set(piece, at);
    at += piece.length;
  }
  if (length) add(toWav(samples, microphone.rate), `take-${Date.now()}.wav`, samples, length / microphone.rate);
  paint();
}

$("record").addEventListener("click", () => (recording.microphone ? finish() : begin()));

// ---------------------------------------------------------------- files
$("take-files").addEventListener("change", async ({ target }) => {
  const chosen = [...target.files];
  target.value = ""; // the same file may be chosen again
  const room = MOST - takes.length;
  microphoneSays(chosen.length > room ? `At most ${MOST} recordings: ${chosen.slice(room).map((file) => file.name).join(", ")} left out.` : "");
  for (const file of chosen.slice(0, room)) {
    const sound = await decoded(file);
    add(file, file.name, sound?.samples ?? null, sound?.seconds ?? null);
  }
});

/** The samples for the picture and the warnings; nothing where this browser cannot read the file: the server may. */
async function decoded(file) {
  try {
    const sound = await new OfflineAudioContext(1, 1, 48_000).decodeAudioData(await file.arrayBuffer());
    return { samples: sound.getChannelData(0), seconds: sound.duration };
  } catch (fault) {
    return null;
  }
}

// ---------------------------------------------------------------- the list
function judged(samples, seconds) {
  if (!samples) return "";
  const peak = peakOf(samples);
  if (peak < 0.01) return "nearly silent";
  if (peak >= 0.999) return "clipped: further from the microphone";
  if (peak < 0.05) return "quiet";
  return seconds < 0.3 ? "too short" : seconds > 10 ? "too long" : "";
}

function add(blob, name, samples, seconds) {
  const take = { blob, name, samples, seconds, url: URL.createObjectURL(blob), says: judged(samples, seconds) };
  const play = make("button", { type: "button", className: "play round" }, make("span", { className: "icon play", ariaHidden: "true" }));
  const remove = make("button", { type: "button", className: "quiet", textContent: "Delete" });
  take.row = make("li", { className: "take" }, play, samples ? waveform(samples) : make("span", { className: "waveform" }), make("span", { className: "take-name" }), remove);
  play.addEventListener("click", () => (playing === take ? player.pause() : hearAgain(take)));
  remove.addEventListener("click", () => {
    const next = takes[takes.indexOf(take) + 1] ?? takes[takes.indexOf(take) - 1];
    drop(take);
    (next?.row.querySelector("button.quiet") ?? $("record")).focus(); // never lost in a row that is gone
    announce("Deleted.");
  });
  takes.push(take);
  changed();
  $("takes").append(take.row);
  paint();
  announce(`Recording ${takes.length} of at most ${MOST}${take.says ? `: ${take.says}` : ""}.`);
}

function drop(take) {
  takes.splice(takes.indexOf(take), 1);
  if (playing === take) player.pause();
  URL.revokeObjectURL(take.url);
  take.row.remove();
  paint();
}

function hearAgain(take) {
  player.src = take.url;
  playing = take;
  player.play().catch(() => microphoneSays("This browser cannot play that file. The server may be able to read it all the same."));
  paint();
}
for (const name of ["pause", "ended", "error"]) player.addEventListener(name, () => { playing = null; paint(); });

function paint() {
  const { microphone, opening } = recording;
  const full = takes.length >= MOST;
  $("record").disabled = opening || Boolean(whyNoMicrophone()) || (full && !microphone);
  $("record").classList.toggle("on", Boolean(microphone));
  if (!microphone) $("record-text").textContent = opening ? "Opening …" : full ? `${MOST} recordings` : takes.length ? "Record another" : "Record";
  $("record-level").hidden = !microphone;
  $("take-files").disabled = full;
  takes.forEach((take, i) => {
    const [play, remove] = take.row.querySelectorAll("button");
    const active = playing === take;
    play.firstElementChild.className = `icon ${active ? "pause" : "play"}`;
    play.ariaLabel = `${active ? "Stop" : "Play"} recording ${i + 1}`;
    remove.ariaLabel = `Delete recording ${i + 1}`;
    const name = take.row.querySelector(".take-name");
    name.replaceChildren(make("span", { textContent: take.name.startsWith("take-") ? `Recording ${i + 1}` : take.name }),
      make("small", { textContent: take.seconds ? `${take.seconds.toFixed(1)} s` : "" }),
      ...(take.says ? [make("small", { className: "warned", textContent: take.says })] : []));
  });
}

export function startTakes(whenChanged) {
  changed = whenChanged;
  microphoneSays(whyNoMicrophone());
  paint();
}
export const missing = () => (takes.length ? "" : `Record the word at least once, or add an audio file (up to ${MOST}; ${count(3, "recording")} do well).`);
