// The live connection: what the server tells of itself and of jobs, mended whenever it breaks.
import { $, announce } from "/static/page.js";
import { credential, isJwt, post } from "/static/session.js";

const line = { socket: null, tries: 0, timer: 0, heard: 0, attempt: 0, catchUp: null, receive: null };

/** Begins to listen: ``catchUp`` fetches what was missed, before each connection; ``receive`` gets every message. */
export function listen(catchUp, receive) {
  Object.assign(line, { catchUp, receive });
  connect();
}

/** The address of a socket, with what lets this person in. */
export async function doorway(path) {
  const address = new URL(path, location.href.replace(/^http/, "ws"));
  if (isJwt() && path === "/ws") address.searchParams.set("token", credential.token);
  else address.searchParams.set("ticket", (await post("/api/auth/ws-ticket")).ticket);
  return address;
}

function showConnection(state, text) {
  if ($("connection").dataset.state !== state && (state === "down" || line.tries)) announce(`Live connection: ${text}.`);
  $("connection").dataset.state = state;
  $("connection-text").textContent = text;
  if (state === "up") line.tries = 0;
}

async function connect() {
  disconnect();
  const attempt = line.attempt;
  try {
    await line.catchUp(); // fills in what was missed, and finds out whether the credential still holds
    const address = await doorway("/ws");
    if (attempt !== line.attempt) return; // signed out, or begun again, meanwhile
    line.socket = new WebSocket(address);
    line.socket.onmessage = (event) => hear(JSON.parse(event.data));
    line.socket.onclose = lost;
    line.heard = Date.now();
  } catch (fault) {
    if (attempt === line.attempt) lost();
  }
}

function hear({ type, data }) {
  line.heard = Date.now();
  if (type === "ping") send("pong");
  else if (type === "connected") showConnection("up", "Live");
  else line.receive(type, data);
}
const send = (type) => { if (line.socket?.readyState === WebSocket.OPEN) line.socket.send(JSON.stringify({ type, data: {} })); };

function lost() {
  disconnect();
  showConnection("down", navigator.onLine ? "Reconnecting" : "Offline");
  // Doubling from one second to thirty, and spread, so that many pages do not come back in the same instant.
  line.timer = setTimeout(connect, Math.min(30, 2 ** line.tries++) * (750 + Math.random() * 500));
}
function disconnect() {
  clearTimeout(line.timer);
  line.attempt++;
  if (line.socket) Object.assign(line.socket, { onclose: null, onmessage: null }).close();
  line.socket = null;
}

// A dead network closes nothing by itself: no answer for 50 seconds, with a ping every 20, means the line is lost.
setInterval(() => (line.socket && Date.now() - line.heard > 50_000 ? lost() : send("ping")), 20_000);
const wake = () => { if (line.catchUp && credential.token && !line.socket && !document.hidden) connect(); };
addEventListener("online", wake);
addEventListener("offline", () => { if (line.catchUp && credential.token) lost(); });
document.addEventListener("visibilitychange", wake);
