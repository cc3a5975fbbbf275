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
import { CommandError } from "./connection.js";
import { Connector } from "./connector.js";
import { Subscription } from "./subscription.js";

export { CommandError, Subscription };

const KEY_MS = 300_000; // a server may forget a key then, and a retry would publish twice

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
  #connector;
  #subscriptions = new Map();
  #lanes = new Map(); // by channel, when what was published last is settled

  /**
   * @param {string | URL} url
   * @param {import("./connector.js").Authentication} authentication
   */
  constructor(url, authentication) {
    super();
    this.#connector = new Connector(url, authentication, {
      changed: (connection) => this.#changed(connection),
      receive: (message) => this.#receive(message),
      tell: (type, detail) => this.#tell(type, detail),
    });
  }

  /** @type {"connecting" | "authenticating" | "connected" | "waiting" | "closed"} */
  get state() {
    return this.#connector.state;
  }

  /** What the server said last about this client and itself. @type {object | null} */
  get welcome() {
    return this.#connector.welcome;
  }

  /** Connect, and stay connected until `close()` or until the server refuses for good. */
  connect() {
    this.#connector.connect();
  }

  /** Disconnect and stay away. Subscriptions keep their positions for the next `connect()`. */
  close() {
    this.#connector.close();
  }

  /** While waiting: try again now. */
  wake() {
    this.#connector.wake();
  }

  /** Cut the connection as a failing network would, and come back after so many milliseconds. */
  interrupt(milliseconds) {
    this.#connector.interrupt(milliseconds);
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
    if (this.#connector.current) this.#join(subscription, this.#connector.current);
    return subscription;
  }

  /** @param {Subscription} subscription hears no more from now on */
  unsubscribe(subscription) {
    const { channel } = subscription;
    if (this.#subscriptions.get(channel) !== subscription) return;
    this.#subscriptions.delete(channel);
    subscription.end();
    this.#connector.current?.request({ type: "unsubscribe", channel });
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
    this.#connector.current?.send({ type: "signal", channel, kind, data });
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

  /** Follow the connector: join everything on its connection, or wait for another. */
  #changed(connection) {
    for (const subscription of this.#subscriptions.values()) {
      if (connection) this.#join(subscription, connection);
      else subscription.lose();
    }
  }

  #receive(message) {
    const subscription = this.#subscriptions.get(message.channel);
    if (message.type === "error") this.#tell("error", message);
    else if (message.type === "unsubscribed") this.#dismiss(subscription, message.reason);
    else subscription?.receive(message);
    if (message.type === "lag" && subscription?.presence) this.#count(subscription);
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
    const connection = this.#connector.current;
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
    return connection === this.#connector.current && known === subscription;
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
    while (!this.#connector.current) {
      if (this.state === "closed") throw new CommandError({ code: "closed" });
      await new Promise((resolve) => this.addEventListener("state", resolve, { once: true }));
    }
    return this.#connector.current;
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
