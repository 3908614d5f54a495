// Small drawings. Everything is set as attributes that the page's policy allows: classes and coordinates.

function draw(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}
const path = (points) => points.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");

/** The shape of a sound: one bar for each part. */
export function waveform(samples, bars = 48) {
  const [step, height] = [Math.max(1, Math.floor(samples.length / bars)), 28];
  const shape = draw("svg", { class: "waveform", viewBox: `0 0 ${bars * 3} ${height}`, preserveAspectRatio: "none", "aria-hidden": "true", focusable: "false" });
  for (let bar = 0; bar < bars; bar++) {
    let peak = 0;
    for (let i = bar * step; i < Math.min(samples.length, (bar + 1) * step); i++) peak = Math.max(peak, Math.abs(samples[i]));
    const tall = Math.max(1.5, Math.min(1, Math.sqrt(peak)) * height);
    shape.append(draw("rect", { x: bar * 3, y: ((height - tall) / 2).toFixed(1), width: 2, height: tall.toFixed(1), rx: 1 }));
  }
  return shape;
}

/** The losses of a training by epoch. ``history`` is a list of {epoch, train_loss, val_loss}. */
export function lossCurve(history, totalEpochs) {
  const [width, height, left, bottom, top] = [640, 250, 46, 28, 34];
  const finite = (value) => Number.isFinite(value);
  const losses = history.flatMap((row) => [row.train_loss, row.val_loss]).filter(finite);
  const highest = Math.max(...losses, 1e-6) * 1.05;
  // All that may come, until it is plain that training ends earlier: else a hundred epochs would hide the first ten.
  const last = Math.min(totalEpochs || Infinity, Math.max(10, Math.ceil((history.at(-1)?.epoch ?? 0) * 1.25)));
  const x = (epoch) => left + ((epoch - 1) / Math.max(1, last - 1)) * (width - left - 12);
  const y = (loss) => top + (1 - loss / highest) * (height - bottom - top);
  const chart = draw("svg", { class: "curve", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-labelledby": "curve-text" });
  for (const share of [0, 0.5, 1]) {
    const loss = share * highest;
    chart.append(draw("line", { class: "grid", x1: left, x2: width - 12, y1: y(loss), y2: y(loss) }),
      draw("text", { x: left - 8, y: y(loss) + 4, "text-anchor": "end" }, loss.toPrecision(2)));
  }
  const marks = [1, Math.round((1 + last) / 2), last];
  for (const epoch of marks) chart.append(draw("text", { x: x(epoch), y: height - 8, "text-anchor": epoch === last ? "end" : epoch === 1 ? "start" : "middle" }, epoch === 1 ? "epoch 1" : String(epoch)));
  for (const [name, word] of [["train_loss", "training"], ["val_loss", "validation"]]) {
    const points = history.filter((row) => finite(row[name])).map((row) => [x(row.epoch), y(row[name])]);
    if (!points.length) continue;
    const line = draw("path", { class: `line ${word}`, d: points.length > 1 ? path(points) : "" });
    chart.append(line, draw("circle", { class: `line ${word}`, cx: points.at(-1)[0], cy: points.at(-1)[1], r: 3 }));
  }
  [["training", left], ["validation", left + 120]].forEach(([word, at]) => {
    chart.append(draw("line", { class: `line ${word}`, x1: at, x2: at + 22, y1: 12, y2: 12 }), draw("text", { x: at + 30, y: 16 }, word));
  });
  return chart;
}

/** The scores of the last seconds, the threshold, and where the word was heard. ``scores`` are {at, score, heard}. */
export function scorePlot(scores, now, threshold, seconds = 12) {
  const [width, height] = [300, 64];
  const x = (at) => width - ((now - at) / seconds) * width;
  const y = (score) => 4 + (1 - score) * (height - 8);
  const plot = draw("svg", { class: "scores", viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none" });
  for (const { at, heard } of scores) if (heard) plot.append(draw("line", { class: "mark", x1: x(at), x2: x(at), y1: 0, y2: height }));
  plot.append(draw("line", { class: "threshold", x1: 0, x2: width, y1: y(threshold), y2: y(threshold) }));
  if (scores.length > 1) plot.append(draw("path", { class: "line", d: path(scores.map(({ at, score }) => [x(at), y(score)])) }));
  return plot;
}
