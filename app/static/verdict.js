// What a report means, in plain words and small tables. Figures come with what they rest on, or they are not figures.
import { count, joined, make } from "/static/page.js";

const WHERE = { clean: "in quiet", noise_10_db: "in noise (10 dB)", far: "across a room" };
export const where = (condition) => WHERE[condition] ?? condition.replaceAll("_", " ");
const same = (one, other) => Math.abs(one - other) < 0.0006; // as they are shown
export const inOrder = (conditions) => { // the store keeps no order
  const place = (name) => (name in WHERE ? Object.keys(WHERE).indexOf(name) : Infinity);
  return [...conditions].sort((a, b) => place(a) - place(b));
};
const percent = (share) => (share > 0 && share < 0.0095 ? `${(share * 100).toFixed(1)}` : `${Math.round(share * 100)}`);
export const rate = (perHour) => (!Number.isFinite(perHour) ? "any number" : perHour === 0 ? "0" : perHour < 1 ? perHour.toPrecision(2).replace(/0+$/, "") : perHour < 10 ? perHour.toFixed(1).replace(".0", "") : String(Math.round(perHour)));
const hoursOf = (hours) => (hours < 0.095 ? `${Math.round(hours * 60)} min` : `${hours.toPrecision(2).replace(/\.0$/, "")} h`);

/** "0 in 0.9 h: at most 3.2 an hour with 95 % confidence" */
export function alarms({ events, hours, bound_per_hour: bound }) {
  if (!(hours > 0)) return "no other speech was at hand to count false alarms in";
  return `${events} in ${hoursOf(hours)}: at most ${rate(bound)} an hour with 95 % confidence`;
}

const missed = (misses) => inOrder(Object.keys(misses)).map((condition) => `${percent(misses[condition])} ${where(condition)}`).join(", ");

const missesOf = (point) => Object.fromEntries(Object.entries(point).filter(([name]) => name.startsWith("misses_")).map(([name, share]) => [name.slice("misses_".length), share]));

/** What happens at a threshold. Between two points of the curve the server tells the worse of both, and so does this. */
export function consequence(report, threshold) {
  const points = [...(report.operating_points ?? []), report.operating_point].filter(Boolean); // those measured come before one read off the curve
  const exact = points.find((point) => same(point.threshold, threshold));
  if (exact) return exact;
  const curve = [...(report.det ?? [])].sort((a, b) => a.threshold - b.threshold);
  if (!curve.length) return null;
  const below = curve.findLast((point) => point.threshold <= threshold) ?? curve[0];
  const above = curve.find((point) => point.threshold >= threshold);
  const misses = missesOf(above ?? curve.at(-1));
  if (!above) for (const name of Object.keys(misses)) misses[name] = 1; // beyond all that was measured, nothing is promised
  const hours = report.test_hours ?? points[0]?.hours ?? 0;
  return { threshold, events: below.events, hours, per_hour: below.false_accepts_per_hour, bound_per_hour: below.bound_per_hour, misses };
}

export function told(point) {
  if (!point) return "What follows from it was not measured.";
  const misses = missed(point.misses ?? {});
  return `${misses ? `Of a hundred times that it is said it misses ${misses}. ` : ""}False alarms: ${alarms(point)}.`;
}

/** One sentence for the top of the report. */
export function verdict(report, threshold) {
  const point = consequence(report, threshold);
  if (!point) return "How well it does was not measured.";
  const clean = point.misses?.clean ?? Object.values(point.misses ?? {})[0];
  const hears = clean === undefined ? "" : clean > 0.5 ? "It misses it more often than not: train it again, with more recordings or more samples. "
    : `It hears about ${Math.round((1 - clean) * 100)} of a hundred. `;
  if (!(point.hours > 0)) return `${hears}How often it fires by mistake is not known.`;
  return `${hears}${point.events ? `It fired by mistake ${count(point.events, "time")}` : "It did not fire by mistake"} in ${hoursOf(point.hours)} of other people's speech.`;
}

/** The sentences under "How it does". */
export function plainly(report, threshold) {
  const point = consequence(report, threshold);
  if (!point) return [];
  const lines = inOrder(Object.keys(point.misses ?? {})).map((condition) => {
    const share = point.misses[condition];
    const { clips, misses, bound } = report.conditions?.[condition] ?? {};
    const bounded = bound !== undefined && same(misses, share); // it is of the threshold that the training chose
    return [`${percent(share)} of 100`, `missed ${where(condition)}`, joined(clips && count(clips, "clip"), bounded && `at most ${percent(bound)} with 95 % confidence`)];
  });
  if (point.hours > 0) lines.push([`${rate(point.per_hour)} an hour`, "false alarms", alarms(point)]);
  const fired = (report.near_words ?? []).filter((near) => near.highest >= threshold);
  if (report.near_words?.length) lines.push([`${fired.length} of ${report.near_words.length}`, "near words set it off", fired.slice(0, 4).map((near) => near.text).join(", ") || "none that was tried"]);
  return lines.map(([figure, what, rests]) => make("li", {}, make("strong", { textContent: figure }), make("span", { textContent: what }), make("small", { textContent: rests })));
}

export function table(head, rows, caption) {
  const cell = (tag, value) => make(tag, typeof value === "object" ? value : { textContent: value });
  return make("table", {}, make("caption", { className: "unseen", textContent: caption }),
    make("thead", {}, make("tr", {}, ...head.map((name) => make("th", { scope: "col", textContent: name })))),
    make("tbody", {}, ...rows.map(({ className = "", cells }) => make("tr", { className }, ...cells.map((value, i) => cell(i ? "td" : "th", value))))));
}

/** The operating points that its training reported. */
export function pointsTable(report, threshold) {
  const points = report.operating_points ?? [];
  const conditions = inOrder(Object.keys(report.conditions ?? points[0]?.misses ?? {}));
  const chosen = points.find((point) => same(point.threshold, threshold));
  const rows = points.map((point) => ({
    className: point === chosen ? "chosen" : point.supported === false ? "weak" : "",
    cells: [`${rate(point.target_per_hour)}${point.supported === false ? " *" : ""}`, point.threshold.toFixed(3), `${point.events} in ${hoursOf(point.hours)}`, `≤ ${rate(point.bound_per_hour)}`,
      ...conditions.map((name) => (point.misses?.[name] === undefined ? "-" : `${percent(point.misses[name])} %`))],
  }));
  return table(["Asked, an hour", "Threshold", "Fired", "95 % bound", ...conditions.map((name) => `Missed ${where(name)}`)], rows, "Misses and false alarms by threshold");
}

export function familiesTable(families) {
  const rows = Object.entries(families).sort(([, a], [, b]) => a.recall - b.recall)
    .map(([name, { clips, recall }]) => ({ cells: [name === "user" ? "your recordings" : name, `${percent(recall)} %`, String(clips)] }));
  return table(["Voices", "Heard", "Clips"], rows, "How many clips of each family of voices are heard");
}
