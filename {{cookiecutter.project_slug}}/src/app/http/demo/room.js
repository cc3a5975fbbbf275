// The conversation in one room: what was said, what is on its way, and older messages.

import { randomKey } from "./client.js";
import { avatar, byId, clock, element, nameOf } from "./dom.js";
import { People } from "./people.js";
import { log, logSubscribed, lostBecause } from "./status.js";

const PAGE = 50;
const TOGETHER_MS = 300_000; // messages of one author within this time share a heading
const TYPING_MS = 2_500;

export class Room {
  #client;
  #channel;
  #subscription;
  #people;
  #oldest = { epoch: "", offset: 0 }; // of what is shown without a gap up to now
  #older = element("button", { type: "button", className: "older" }, "Show older messages");
  #olderItem = element("li", { className: "aside", hidden: true }, this.#older);
  #sent = new Map(); // by key, what is on its way
  #typed = -Infinity;

  /** @param {import("./client.js").Client} client @param {{channel: string, title: string}} room */
  constructor(client, { channel, title }) {
    this.#client = client;
    this.#channel = channel;
    byId("room").textContent = title;
    byId("sending").replaceChildren();
    byId("said").replaceChildren(this.#olderItem);
    this.#older.onclick = () => this.#readOlder();
    this.#subscription = client.subscribe(channel, { last: PAGE, presence: true });
    this.#people = new People(this.#subscription, () => client.welcome?.user.id);
    this.#on("subscribed", (detail) => this.#stand(detail));
    this.#on("message", (message) => this.#hear(message));
    this.#on("lag", () => log(`${channel}: too slow, only messages were kept`, "bad"));
    this.#on("ended", ({ message }) => this.#divide(`This room has ended: ${message}`));
  }

  /** Hear no more of it, and make place for another. */
  leave() {
    this.#client.unsubscribe(this.#subscription);
    this.#people.clear();
  }

  /** Say something; it stays at the end until the room has heard it. @param {string} text */
  async say(text) {
    const key = randomKey();
    const item = this.#item({ from: this.#client.welcome.user, data: { text } });
    const note = element("small", {}, "sending");
    item.querySelector(".body").append(note);
    this.#sent.set(key, item);
    byId("sending").append(item);
    byId("conversation").scrollTop = byId("conversation").scrollHeight;
    this.#typed = -Infinity;
    try {
      await this.#client.publish(this.#channel, { text }, { key });
      note.textContent = "sent";
      item.classList.add("sent");
    } catch (error) {
      const again = element("button", { type: "button" }, "Send again");
      again.onclick = () => {
        item.remove();
        this.say(text);
      };
      note.replaceChildren(`Not sent: ${error.message}. `, again);
      item.classList.add("failed");
    }
  }

  /** Let the others know that something is being written. */
  typing() {
    if (performance.now() - this.#typed < TYPING_MS) return;
    this.#typed = performance.now();
    this.#client.signal(this.#channel, "typing");
  }

  #on(type, listener) {
    this.#subscription.addEventListener(type, ({ detail }) => listener(detail));
  }

  #stand(detail) {
    logSubscribed(this.#channel, detail);
    if (!detail.first && detail.recovered !== false) return;
    if (!detail.first) this.#divide(`Not recovered: ${lostBecause(detail.reason)}`);
    this.#oldest = { epoch: detail.epoch, offset: detail.offset - detail.missed + 1 };
    this.#olderItem.hidden = !(this.#oldest.offset > 1);
  }

  #hear(message) {
    this.#sent.get(message.key)?.remove();
    this.#sent.delete(message.key);
    this.#place(this.#item(message), (item) => byId("said").append(item));
  }

  /** A line across the conversation: what is above it does not reach to what is below. */
  #divide(text) {
    byId("said").append(...byId("sending").querySelectorAll(".sent"));
    for (const item of byId("said").children) item.classList.add("past");
    byId("said").append(element("li", { className: "aside divider" }, text), this.#olderItem);
    this.#olderItem.classList.remove("past");
  }

  async #readOlder() {
    const { epoch, offset: before } = this.#oldest;
    this.#older.disabled = true;
    try {
      const page = await this.#client.history(this.#channel, { before, epoch, limit: PAGE });
      this.#prepend(page.messages);
      this.#olderItem.hidden = !page.has_more;
      this.#oldest = { epoch, offset: page.messages[0]?.offset ?? before };
      if (!page.has_more) byId("conversation").focus();
    } catch (error) {
      this.#older.textContent = `Show older messages (${error.message})`;
    }
    this.#older.disabled = false;
  }

  /** Put a page in front, read aloud to nobody, and without moving what is on the screen. */
  #prepend(messages) {
    const box = byId("conversation");
    const below = box.scrollHeight - box.scrollTop;
    box.ariaBusy = "true";
    let last = this.#olderItem;
    for (const message of messages) {
      last = this.#place(this.#item(message), (item) => last.after(item));
    }
    this.#join(last.nextElementSibling);
    box.scrollTop = box.scrollHeight - below;
    box.ariaBusy = "false";
  }

  #place(item, put) {
    put(item);
    this.#join(item);
    return item;
  }

  /** Leave out the heading of a message that follows one of the same author. */
  #join(item) {
    const [before, after] = [item?.previousElementSibling?.dataset, item?.dataset];
    if (!before || !after) return;
    const joined = before.author === after.author && after.at - before.at < TOGETHER_MS;
    item.classList.toggle("joined", joined);
  }

  #item({ from, data, sent_at }) {
    const moment = sent_at ? new Date(sent_at) : new Date();
    const author = element("strong", {}, nameOf(from));
    const heading = element("p", { className: "heading" }, author, clock(moment));
    const text = element("p", { className: "text", dir: "auto" }, String(data.text));
    const body = element("div", { className: "body" }, heading, text);
    const item = element("li", {}, avatar(from), body);
    item.classList.toggle("mine", from.id === this.#client.welcome?.user.id);
    Object.assign(item.dataset, { author: from.id, at: moment.getTime() });
    return item;
  }
}

/** Keep showing the end of the conversation while it is shown, whatever grows or shrinks. */
export function followEnd() {
  const box = byId("conversation");
  let atEnd = true;
  const observer = new ResizeObserver(() => atEnd && (box.scrollTop = box.scrollHeight));
  box.onscroll = () => (atEnd = box.scrollHeight - box.scrollTop - box.clientHeight < 60);
  [box, ...box.children].forEach((part) => observer.observe(part));
}
