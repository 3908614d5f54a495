// What every page uses: finding and making elements, plain words for figures, messages to the person.
// Data reaches a page through textContent only, so it can bring neither markup nor script along.

export const $ = (id) => document.getElementById(id);

export function make(tag, props = {}, ...children) {
  const element = Object.assign(document.createElement(tag), props);
  element.append(...children);
  return element;
}

export const count = (n, one) => `${n} ${one}${n === 1 ? "" : "s"}`;
export const clock = (s) => `${Math.floor(s / 60)}:${String(Math.floor(s % 60)).padStart(2, "0")}`;
export const span = (s) => (s < 90 ? `${Math.ceil(s)} s` : s < 5400 ? `${Math.round(s / 60)} min` : s < 172800 ? `${Math.round(s / 3600)} h` : `${Math.round(s / 86400)} days`);
export const joined = (...parts) => parts.filter(Boolean).join(" · ");
export const announce = (text) => { $("announcer").textContent = text; }; // read out by screen readers

export const tell = (id, text) => Object.assign($(id), { textContent: text, hidden: !text });
export const notice = (text) => tell("notice-text", text);
export const report = (fault) => { if (fault.name !== "AbortError" && !fault.signedOut) notice(fault.message); };

/** Work behind a button: never twice at once, its failure shown, the focus where it was. */
export async function during(button, work) {
  const focused = document.activeElement === button;
  button.disabled = true;
  await work().catch(report);
  button.disabled = false;
  if (focused && document.activeElement === document.body) button.focus({ preventScroll: true });
}

$("notice-close").addEventListener("click", () => notice(""));
