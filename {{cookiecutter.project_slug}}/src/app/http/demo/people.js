// Shows who is in the room, and who is typing.

import { avatar, byId, element, nameOf } from "./dom.js";

const TYPING_MS = 4_000;

export class People {
  #typing = new Map();

  /** @param {import("./subscription.js").Subscription} subscription @param {() => string} me */
  constructor(subscription, me) {
    const show = () => this.#show(subscription, me());
    for (const type of ["subscribed", "join", "leave", "presence"])
      subscription.addEventListener(type, show);
    subscription.addEventListener("leave", ({ detail }) => this.#stops(detail.user.id));
    subscription.addEventListener("message", ({ detail }) => this.#stops(detail.from.id));
    subscription.addEventListener("signal", ({ detail: { kind, from } }) => {
      if (kind === "typing" && from.id !== me()) this.#types(from);
    });
    this.clear();
  }

  /** Forget everybody: the room is left. */
  clear() {
    [...this.#typing.keys()].forEach((id) => this.#stops(id));
    byId("people").replaceChildren();
    byId("typing").textContent = byId("count").textContent = "";
  }

  #show({ members, count }, me) {
    const sorted = [...members.values()].sort((a, b) => nameOf(a).localeCompare(nameOf(b)));
    const items = sorted.map((member) => {
      const name = element("span", {}, nameOf(member));
      const you = member.id === me ? [element("small", {}, "you")] : [];
      return element("li", {}, avatar(member), name, ...you);
    });
    byId("people").replaceChildren(...items);
    byId("count").textContent = `${count} here`;
  }

  #types(member) {
    clearTimeout(this.#typing.get(member.id)?.timer);
    const timer = setTimeout(() => this.#stops(member.id), TYPING_MS);
    this.#typing.set(member.id, { timer, name: nameOf(member) });
    this.#say();
  }

  #stops(id) {
    clearTimeout(this.#typing.get(id)?.timer);
    if (this.#typing.delete(id)) this.#say();
  }

  #say() {
    const names = [...this.#typing.values()].map(({ name }) => name);
    const who = names.length > 2 ? "Several people" : names.join(" and ");
    byId("typing").textContent = who && `${who} ${names.length > 1 ? "are" : "is"} typing`;
  }
}
