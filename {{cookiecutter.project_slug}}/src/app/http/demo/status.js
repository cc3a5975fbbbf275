// Shows the state of the connection, and tells its story in the log.

import { byId, clock, element, nameOf } from "./dom.js";

const CUT_MS = 10_000;
const LONGEST_LOG = 200;
const STATES = {
  connecting: "Connecting",
  authenticating: "Signing in",
  connected: "Connected",
  waiting: "Connection lost",
  closed: "Disconnected",
};
const LOST_BECAUSE = {
  epoch_changed: "history was lost or replaced",
  ahead: "history went back in time",
  expired: "it is no longer kept",
  too_far: "it is too much",
  no_history: "nothing is kept",
};

/** Add a line to the log. @param {string} text @param {"" | "good" | "bad"} [tone] */
export function log(text, tone = "") {
  const list = byId("log");
  const time = clock(new Date(), { timeStyle: "medium", hourCycle: "h23" });
  list.append(element("li", { className: tone }, time, element("span", {}, text)));
  if (list.children.length > LONGEST_LOG) list.firstChild.remove();
  list.scrollTop = list.scrollHeight;
}

/** Say what became of a subscription: `subscribed` of the client. */
export function logSubscribed(channel, { first, recovered, reason, missed }) {
  const messages = `${missed} ${missed === 1 ? "message" : "messages"}`;
  if (recovered) log(`${channel}: recovered with ${messages}`, "good");
  else if (recovered === false) log(`${channel}: not recovered, ${lostBecause(reason)}`, "bad");
  else log(`${channel}: subscribed${first && missed ? ` with the last ${messages}` : ""}`);
}

/** Why what was missed could not be recovered, in words. */
export const lostBecause = (reason) => LOST_BECAUSE[reason] ?? reason;

/** Follow the client: the sign at the top, the notice, the buttons, the log. */
export function watch(client) {
  let before = client.state;
  byId("cut").onclick = () => client.interrupt(CUT_MS);
  byId("wake").onclick = () => {
    if (client.state === "closed") client.connect();
    else client.wake();
    byId("text").focus(); // the button is about to go
  };
  client.addEventListener("state", ({ detail }) => {
    show(detail);
    tell(detail, before, client.welcome);
    before = detail.state;
  });
  client.addEventListener("moving", ({ detail }) =>
    log(`The server asks to move in ${seconds(detail.delay)} (${detail.reason})`),
  );
  client.addEventListener("renewed", () => log("Signed in anew, in time", "good"));
  client.addEventListener("error", ({ detail }) => log(`${detail.code}: ${detail.message}`, "bad"));
}

let countdown;

function show({ state, reason, delay }) {
  byId("state").textContent = STATES[state];
  byId("state").dataset.state = state;
  byId("cut").disabled = state !== "connected";
  byId("notice").hidden = state !== "waiting" && state !== "closed";
  byId("wake").textContent = state === "closed" ? "Connect" : "Try now";
  clearInterval(countdown);
  if (state === "closed") notify(`Disconnected${reason ? `: ${reason}` : ""}.`);
  if (state === "waiting") countDown(performance.now() + delay);
}

function countDown(end) {
  const left = () => Math.max(0, Math.ceil((end - performance.now()) / 1000));
  const say = () => notify(`Trying again in ${left()} s`);
  countdown = setInterval(say, 250);
  say();
}

function tell({ state, moved, code, reason, delay }, before, welcome) {
  const because = `${code ?? "by this page"}${reason ? `: ${reason}` : ""}`;
  if (state === "connected" && moved) log("Moved to another connection without a pause", "good");
  else if (state === "connected") {
    byId("me").textContent = nameOf(welcome.user);
    log(`Connected as ${nameOf(welcome.user)} to node ${welcome.node}`, "good");
  } else if (state === "waiting") {
    log(`${before === "connected" ? "Lost" : "No connection"} (${because})`, "bad");
    log(`Waiting ${seconds(delay)}`);
  } else if (state === "closed") log(`Disconnected (${because})`, "bad");
  else log(STATES[state]);
}

const notify = (text) => (byId("notice-text").textContent = text);
const seconds = (milliseconds) => `${(milliseconds / 1000).toFixed(1)} s`;
