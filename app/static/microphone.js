// The microphone: samples as they come, and what to say when there is none.

// Wake words are heard by bare microphones: what a browser does for telephone calls would train for another sound.
const BARE = { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: false };
const WHY = {
  NotAllowedError: "This page may not use the microphone. Allow it beside the address, then try again; files work without it.",
  NotFoundError: "There is no microphone here. Files work without one.",
  NotReadableError: "The microphone cannot be opened: another program may hold it.",
};

/** Why there can be no microphone in this page whatever one answers; empty where there can. */
export function whyNoMicrophone() {
  if (!isSecureContext) return "Browsers give the microphone only to pages that came over https, or from this very machine (localhost). Files work here too.";
  return navigator.mediaDevices?.getUserMedia && window.AudioWorkletNode ? "" : "This browser has no microphone for pages. Files work here too.";
}

/** Opens it from within a click; ``hear`` gets Float32 samples, 20 pieces a second. Gives its rate, and what closes it. */
export async function openMicrophone(hear, ended = () => {}) {
  const missing = whyNoMicrophone();
  if (missing) throw new Error(missing);
  const stream = await navigator.mediaDevices.getUserMedia({ audio: BARE }).catch((fault) => {
    throw new Error(WHY[fault.name] ?? `The microphone cannot be opened: ${fault.message}`);
  });
  const context = new AudioContext();
  const close = () => {
    for (const track of stream.getTracks()) track.stop();
    if (context.state !== "closed") context.close();
  };
  try {
    await context.audioWorklet.addModule("/static/capture.js");
    await context.resume();
    const capture = new AudioWorkletNode(context, "capture", { numberOfOutputs: 1, channelCount: 1, channelCountMode: "explicit" });
    capture.port.onmessage = ({ data }) => { if (context.state === "running") hear(data); };
    context.createMediaStreamSource(stream).connect(capture).connect(context.destination); // it stays silent, but only what leads somewhere is run
    stream.getAudioTracks()[0].addEventListener("ended", ended); // pulled out, or taken back by the person
  } catch (fault) {
    close();
    throw fault;
  }
  return { rate: context.sampleRate, close };
}

export const peakOf = (samples) => samples.reduce((highest, value) => Math.max(highest, Math.abs(value)), 0);

/** Moves a level meter; decibels, because that is how ears count. */
export function showLevel(meter, peak) {
  const share = peak > 0 ? Math.max(0, Math.min(1, 1 + (20 * Math.log10(peak)) / 54)) : 0;
  meter.firstElementChild.style.transform = `scaleX(${share.toFixed(3)})`;
  meter.classList.toggle("hot", peak > 0.98);
}

/** 16-bit samples, little end first, whatever this machine's order is. */
export function toPcm16(samples) {
  const view = new DataView(new ArrayBuffer(samples.length * 2));
  samples.forEach((value, i) => view.setInt16(i * 2, Math.max(-1, Math.min(1, value)) * 32767, true));
  return view.buffer;
}

/** A mono WAV file. */
export function toWav(samples, rate) {
  const header = new DataView(new ArrayBuffer(44));
  const put = (at, text) => [...text].forEach((letter, i) => header.setUint8(at + i, letter.charCodeAt(0)));
  put(0, "RIFF");
  header.setUint32(4, 36 + samples.length * 2, true);
  put(8, "WAVEfmt ");
  header.setUint32(16, 16, true); // bytes of what follows: PCM, one channel, rate, bytes a second, bytes a sample, bits
  header.setUint16(20, 1, true);
  header.setUint16(22, 1, true);
  header.setUint32(24, rate, true);
  header.setUint32(28, rate * 2, true);
  header.setUint16(32, 2, true);
  header.setUint16(34, 16, true);
  put(36, "data");
  header.setUint32(40, samples.length * 2, true);
  return new Blob([header, toPcm16(samples)], { type: "audio/wav" });
}
