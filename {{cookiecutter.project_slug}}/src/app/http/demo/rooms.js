// The list of rooms: which there are, which is open, and a form for a new one.

import { byId, element } from "./dom.js";

const REFRESH_MS = 10_000;

export class Rooms {
  #client;
  #token;
  #open;
  #known = new Map();
  #shown = null;

  /**
   * @param {import("./client.js").Client} client
   * @param {() => string | null} token what proves who we are
   * @param {(room: {channel: string, name: string, title: string}) => void} open enters a room
   */
  constructor(client, token, open) {
    this.#client = client;
    this.#token = token;
    this.#open = open;
    byId("create").onsubmit = (event) => {
      event.preventDefault();
      this.#create();
    };
    window.addEventListener("hashchange", () => this.#enter());
    window.addEventListener("focus", () => this.refresh());
    setInterval(() => document.hidden || this.refresh(), REFRESH_MS);
  }

  /** Ask the server which rooms there are, while it knows us; without an answer the list stays. */
  async refresh() {
    if (this.#client.state !== "connected") return;
    const response = await this.#call("GET").catch(() => null);
    if (!response?.ok) return;
    const { rooms } = await response.json();
    this.#known = new Map(rooms.map((room) => [room.name, room]));
    this.#show();
    this.#enter();
  }

  async #create() {
    const field = byId("room-title");
    const title = field.value.trim();
    const name = nameFor(title);
    const response = await this.#call("POST", { name, title }).catch(() => null);
    byId("create-problem").textContent = problem(response?.status);
    if (response?.status === 201) field.value = "";
    if (response?.status !== 201 && response?.status !== 409) return;
    await this.refresh();
    location.hash = `#/${name}`;
  }

  /** Go where the address says: `#/lobby`; else into the first room. */
  #enter() {
    const asked = decodeURIComponent(location.hash).match(/^#\/(.+)$/)?.[1];
    const room = this.#known.get(asked) ?? (this.#shown ? null : [...this.#known.values()][0]);
    if (!room || room.name === this.#shown) return;
    this.#shown = room.name;
    this.#show();
    if (byId("rooms").matches(":popover-open")) byId("rooms").hidePopover();
    this.#open(room);
  }

  /** Change the list in place: the focus stays where it is. */
  #show() {
    const list = byId("room-list");
    for (const item of [...list.children]) if (!this.#known.has(item.dataset.name)) item.remove();
    for (const { name, title, members } of this.#known.values()) {
      const known = [...list.children].find((item) => item.dataset.name === name);
      const item = known ?? list.appendChild(this.#item(name));
      const [link] = item.children;
      link.firstChild.textContent = title;
      link.lastChild.textContent = members || "";
      if (name === this.#shown) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
  }

  #item(name) {
    const count = element("small", { title: "people here" });
    const link = element("a", { href: `#/${encodeURIComponent(name)}` }, element("span"), count);
    const item = element("li", {}, link);
    item.dataset.name = name;
    return item;
  }

  #call(method, body) {
    const headers = { "Content-Type": "application/json" };
    const token = this.#token();
    if (token) headers.Authorization = `Bearer ${token}`;
    return fetch("/api/rooms", { method, headers, body: body && JSON.stringify(body) });
  }
}

/** A channel's name from a title: "Café talk" becomes `cafe-talk`. */
function nameFor(title) {
  const plain = title.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
  const words = plain.match(/[a-z0-9]+/g) ?? [`room-${Date.now().toString(36)}`];
  return words.join("-").slice(0, 60);
}

function problem(status) {
  if (status === 201 || status === 409) return ""; // it exists: then we go there
  if (status === 422) return "A room cannot have this name.";
  if (status === 401 || status === 403) return "You may not create rooms.";
  return "This did not work; try again.";
}
