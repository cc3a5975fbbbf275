// Puts the demo page together: who we are, the connection, the rooms, and the room that is open.

import { Client } from "./client.js";
import { byId } from "./dom.js";
import { followEnd, Room } from "./room.js";
import { Rooms } from "./rooms.js";
import { watch } from "./status.js";

const { title, auth, accounts, offer, namespaces } = await (await fetch("/demo.json")).json();
const { Authentication } = await import(`./auth/${auth}.js`);
const { openSignIn, attend } = await import(`./accounts/${accounts}.js`);
const signIn = openSignIn(offer);
const authentication = new Authentication(signIn);
const client = new Client("/ws", authentication);
const field = byId("text");
const send = byId("write").querySelector("button");
let room = null;

const token = () => authentication.token;
const rooms = namespaces.includes("chat") ? new Rooms(client, token, enter) : null;

document.title = byId("title").textContent = title;
watch(client);
attend?.(client, signIn);
followEnd();
client.addEventListener("state", ({ detail }) => detail.state === "connected" && rooms?.refresh());
client.connect();
if (!rooms) byId("room").textContent = "This service has no chat rooms";

byId("write").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = field.value.trim();
  if (!text || !client.welcome) return;
  room.say(text);
  field.value = "";
  field.focus();
});
field.addEventListener("input", () => room?.typing());
field.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  byId("write").requestSubmit();
});
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault(); // the address says which room is open
  field.focus();
});

function enter(opened) {
  room?.leave();
  room = new Room(client, opened);
  field.disabled = send.disabled = false;
  if (!matchMedia("(pointer: coarse)").matches) field.focus(); // else a keyboard would pop up
}
