// The protocol for browsers: connections that come back, channels that lose and repeat nothing.
//
//   import { Client } from "./client.js";
//   import { Authentication } from "./auth/none.js";
//
//   const client = new Client("/ws", new Authentication());
//   const lobby = client.subscribe("chat:lobby", { last: 50, presence: true });
//   lobby.addEventListener("message", ({ detail }) => console.log(detail.from.id, detail.data));
//   client.connect();
//   await client.publish("chat:lobby", { text: "Hello" });

import { Backoff, sleep } from "./backoff.js";
import { CommandError, Connection, isFinal } from "./connection.js";
import { Subscription } from "./subscription.js";

export { CommandError, Subscription };

/**
 * How a connection proves who it is; `auth/` has one module per mode, which also gives the `token`
 * for HTTP requests.
 * @typedef {object} Authentication
 * @property {(url: URL) => Promise<URL>} open gets what is needed, and says where to connect
 * @property {(connection: Connection) => Promise<object>} authenticate brings an open connection
 *   to its `welcome`
 * @property {(connection: Connection) => Promise<"renewed" | "elsewhere" | null>} refresh gets
 *   another credential, where it can, before that of a connection ends, and says if the connection
 *   goes on with it, or only another one will
 * @property {(code: number) => boolean} refused hears of a close code that blames the credential;
 *   true if another one may do
 */

const GREETING_MS = 15_000;
const GOOD_MS = 10_000; // after so long, the next loss is the first again
const PROBE_MS = 3_000;
const KEY_MS = 300_000; // a server may forget a key then, and a retry would publish twice
const ABOUT_CREDENTIALS = [4100, 4500, 4504];

/**
 * A client of the service. Events, with their data in `detail`:
 * - `state` `{state, ...}`: `connected` comes with `moved`, true if the connection was replaced
 *   without a pause; `waiting` with `delay` (ms), `code` and `reason`; `closed` with `code` and
 *   `reason` unless `close()` was the cause.
 * - `moving` `{reason, delay}`: the server asked this client to move to another connection.
 * - `renewed`: another credential is there, before the one before has ended.
 * - `error`: an error of the server that answers no command.
 */
export class Client extends EventTarget {
  /** @type {"connecting" | "authenticating" | "connected" | "waiting" | "closed"} */
  state = "closed";
  /** What the server said last about this client and itself. @type {object | null} */
  welcome = null;
  #url;
  #authentication;
  #backoff = new Backoff();
  #current = null; // the connection that said welcome
  #next = null; // the one that has yet to; beside the current one, it will replace it
  #attempt = null; // stands for the opening of the next connection, from its first step
  #timer = null;
  #due = 0;
  #connectedAt = 0;
  #subscriptions = new Map();
  #lanes = new Map(); // by channel, when what was published last is settled

  /**
   * @param {string | URL} url
   * @param {Authentication} authentication
   */
  constructor(url, authentication) {
    super();
    this.#url = new URL(url, globalThis.location?.href);
    this.#url.protocol = this.#url.protocol.replace("http", "ws");
    this.#authentication = authentication;
  }

  /** Connect, and stay connected until `close()` or until the server refuses for good. */
  connect() {
    if (this.state !== "closed") return;
    globalThis.addEventListener?.("online", this.#online);
    globalThis.addEventListener?.("offline", this.#offline);
    this.#try();
  }

  /** Disconnect and stay away. Subscriptions keep their positions for the next `connect()`. */
  close() {
    if (this.state !== "closed") this.#close({});
  }

  /** While waiting: try again now. */
  wake() {
    if (this.state === "waiting") this.#try();
  }

  /** Cut the connection as a failing network would, and come back after so many milliseconds. */
  interrupt(milliseconds) {
    this.#current?.end(1006, "cut here", milliseconds);
  }

  /**
   * Follow a channel, over all connections to come. There is one subscription per channel: asked
   * again, it is the same.
   * @param {string} channel
   * @param {{last?: number, presence?: boolean}} [options]
   */
  subscribe(channel, options) {
    const known = this.#subscriptions.get(channel);
    if (known) return known;
    const subscription = new Subscription(channel, options);
    this.#subscriptions.set(channel, subscription);
    if (this.#current) this.#join(subscription, this.#current);
    return subscription;
  }

  /** @param {Subscription} subscription hears no more from now on */
  unsubscribe(subscription) {
    const { channel } = subscription;
    if (this.#subscriptions.get(channel) !== subscription) return;
    this.#subscriptions.delete(channel);
    subscription.end();
    this.#current?.request({ type: "unsubscribe", channel });
  }

  /**
   * Publish, in order per channel, and retry under the same key until there is a final answer.
   * @param {string} channel
   * @param {unknown} data
   * @param {{key?: string}} [options] what makes a retry safe; made where it is not given
   * @returns {Promise<{epoch?: string, offset?: number, duplicate?: boolean}>} rejects with a
   *   CommandError: refused; or `timeout` if it cannot be known any more whether it was published
   */
  publish(channel, data, { key = randomKey() } = {}) {
    const before = this.#lanes.get(channel) ?? Promise.resolve();
    const published = before.then(() => this.#deliver({ type: "publish", channel, data, key }));
    const settled = published.catch(() => {});
    this.#lanes.set(channel, settled);
    settled.then(() => this.#lanes.get(channel) === settled && this.#lanes.delete(channel));
    return published;
  }

  /** Tell the subscribers something that is not kept; lost while not connected. */
  signal(channel, kind, data) {
    this.#current?.send({ type: "signal", channel, kind, data });
  }

  /**
   * Read what was said before or after an offset; else the newest.
   * @param {string} channel
   * @param {{before?: number, after?: number, epoch?: string, limit?: number}} [options]
   * @returns {Promise<{epoch: string, messages: object[], has_more: boolean}>}
   */
  async history(channel, options) {
    return (await this.#connected()).request({ type: "history", channel, ...options });
  }

  /**
   * Ask who is in a channel.
   * @param {string} channel
   * @returns {Promise<{users: {id: string, name?: string}[], count: number}>}
   */
  async presence(channel) {
    return (await this.#connected()).request({ type: "presence", channel });
  }

  async #try() {
    const attempt = (this.#attempt = {});
    clearTimeout(this.#timer);
    this.#timer = null;
    if (!this.#current) this.#become("connecting");
    try {
      const url = await this.#authentication.open(new URL(this.#url));
      if (attempt === this.#attempt) await this.#greet(url);
    } catch (error) {
      if (attempt !== this.#attempt) return;
      this.#attempt = null;
      const code = error.code === "unauthenticated" ? 4500 : 1006;
      this.#again({ code, reason: error.message, retryAfter: error.retryAfter });
    }
  }

  /** Open a connection and bring it to its welcome; if anything fails, it ends. */
  async #greet(url) {
    const connection = (this.#next = new Connection(
      url,
      (message) => connection === this.#current && this.#receive(message),
      (end) => this.#lost(connection, end),
    ));
    const deadline = setTimeout(() => connection.end(1006, "no welcome in time"), GREETING_MS);
    try {
      await connection.opened;
      if (!this.#current) this.#become("authenticating");
      const welcome = await this.#authentication.authenticate(connection);
      if (connection === this.#next) this.#adopt(connection, welcome);
    } catch (error) {
      connection.end(error.retryable ? 1013 : 4500, error.message, error.retryAfter);
    } finally {
      clearTimeout(deadline);
    }
  }

  /** Go on with this connection; the one before, if there is one, was kept until now. */
  #adopt(connection, welcome) {
    const old = this.#current;
    this.#current = connection;
    this.#next = this.#attempt = null;
    this.#connectedAt = performance.now();
    this.welcome = welcome;
    old?.retire();
    for (const subscription of this.#subscriptions.values()) this.#join(subscription, connection);
    this.#become("connected", { moved: old !== null });
  }

  #lost(connection, end) {
    if (connection === this.#next) {
      this.#next = this.#attempt = null;
    } else if (connection === this.#current) {
      this.#current = null;
      if (performance.now() - this.#connectedAt >= GOOD_MS) this.#backoff.reset();
      this.#subscriptions.forEach((subscription) => subscription.lose());
    } else return;
    this.#again(end);
  }

  /** See to it that there is an attempt to come, unless the end is final. */
  #again(end) {
    const another = ABOUT_CREDENTIALS.includes(end.code) && this.#authentication.refused(end.code);
    const final = isFinal(end.code) && !another;
    if (final && this.#current) return; // no replacement then: the current one may live on
    if (final) return this.#close(end);
    if (!this.#attempt && !this.#timer) this.#schedule(this.#backoff.next(end.retryAfter));
    if (this.#current) return;
    if (this.#attempt) this.#become("connecting");
    else this.#become("waiting", { ...end, delay: this.#due - performance.now() });
  }

  #schedule(delay) {
    clearTimeout(this.#timer);
    this.#due = performance.now() + delay;
    this.#timer = setTimeout(() => this.#try(), delay);
  }

  #close(end) {
    clearTimeout(this.#timer);
    const connections = [this.#current, this.#next];
    this.#current = this.#next = this.#attempt = this.#timer = null;
    connections.forEach((connection) => connection?.end(1000, "closed here"));
    globalThis.removeEventListener?.("online", this.#online);
    globalThis.removeEventListener?.("offline", this.#offline);
    this.#subscriptions.forEach((subscription) => subscription.lose());
    this.#become("closed", end);
  }

  #receive(message) {
    const subscription = this.#subscriptions.get(message.channel);
    if (message.type === "reconnect") this.#move(message);
    else if (message.type === "expiring") this.#refresh(this.#current);
    else if (message.type === "error") this.#tell("error", message);
    else if (message.type === "unsubscribed") this.#dismiss(subscription, message.reason);
    else subscription?.receive(message);
    if (message.type === "lag" && subscription?.presence) this.#count(subscription);
  }

  #move({ reason, after_ms: delay }) {
    if (this.#attempt) return;
    this.#schedule(delay);
    this.#tell("moving", { reason, delay });
  }

  /** Go on with another credential; a refusal is final, and the connection ends with the old one. */
  async #refresh(connection) {
    const backoff = new Backoff();
    while (connection === this.#current) {
      try {
        const how = await this.#authentication.refresh(connection);
        if (how) this.#tell("renewed", {});
        const stays = how !== "elsewhere" || connection !== this.#current;
        if (!stays && !this.#attempt) this.#schedule(0);
        return;
      } catch (error) {
        if (error instanceof CommandError && !error.retryable) return;
        await sleep(backoff.next(error.retryAfter));
      }
    }
  }

  async #join(subscription, connection) {
    const { channel } = subscription;
    const backoff = new Backoff();
    const wanted = () => this.#wants(subscription, connection);
    while (wanted()) {
      try {
        const take = (reply) => wanted() && subscription.receive(reply);
        return await connection.request(subscription.command, take);
      } catch (error) {
        if (!wanted()) return;
        // Whether we are subscribed is not known now; another connection settles it.
        if (error.code === "timeout") return connection.end(1006, "no answer to subscribe");
        // An earlier `unsubscribe` was refused, or has yet to be sent.
        const stuck = error.code === "already_subscribed";
        if (stuck) await connection.request({ type: "unsubscribe", channel }).catch(() => {});
        else if (!error.retryable) return this.#dismiss(subscription, error.message, error.code);
        await sleep(backoff.next(error.retryAfter));
      }
    }
  }

  /** Ask who is here: after a `lag`, among what is gone is who came and left. */
  async #count(subscription) {
    const { channel } = subscription;
    const connection = this.#current;
    const backoff = new Backoff();
    const wanted = () => this.#wants(subscription, connection);
    while (wanted()) {
      try {
        const take = (reply) => wanted() && subscription.receive(reply);
        return await connection.request({ type: "presence", channel }, take);
      } catch (error) {
        if (!error.retryable) return;
        await sleep(backoff.next(error.retryAfter));
      }
    }
  }

  /** Whether what a connection says in this channel is for this subscription. */
  #wants(subscription, connection) {
    const known = this.#subscriptions.get(subscription.channel);
    return connection === this.#current && known === subscription;
  }

  #dismiss(subscription, message, code = "unsubscribed") {
    if (!subscription) return;
    this.#subscriptions.delete(subscription.channel);
    subscription.end({ code, message });
  }

  async #deliver(command) {
    const backoff = new Backoff();
    let began = null;
    for (;;) {
      const connection = await this.#connected();
      began ??= Date.now();
      if (Date.now() - began > KEY_MS) throw new CommandError({ code: "timeout" });
      try {
        return await connection.request(command);
      } catch (error) {
        if (!error.retryable) throw error;
        if (error.code !== "disconnected") await sleep(backoff.next(error.retryAfter));
      }
    }
  }

  async #connected() {
    while (!this.#current) {
      if (this.state === "closed") throw new CommandError({ code: "closed" });
      await new Promise((resolve) => this.addEventListener("state", resolve, { once: true }));
    }
    return this.#current;
  }

  #online = () => this.wake();

  /** The browser may be wrong, or the server on this machine: ask before giving up. */
  #offline = () => this.#current?.probe(PROBE_MS);

  #become(state, detail = {}) {
    this.state = state;
    this.#tell("state", { state, ...detail });
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

/** A key for `publish`. `crypto.randomUUID` is missing where a page was not loaded over HTTPS. */
export function randomKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
