// Keeps one connection to the service: opens it, proves who is there, replaces it.

import { Backoff, sleep } from "./backoff.js";
import { CommandError, Connection, isFinal } from "./connection.js";

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

/**
 * Who is told what becomes of the connection.
 * @typedef {object} Listener
 * @property {(connection: Connection | null) => void} changed hears of each connection that said
 *   welcome, and of its loss, before the state is told
 * @property {(message: object) => void} receive takes what the server says unasked on it
 * @property {(type: string, detail: object) => void} tell takes the events of `Client`
 */

const GREETING_MS = 15_000;
const GOOD_MS = 10_000; // after so long, the next loss is the first again
const PROBE_MS = 3_000;
const ABOUT_CREDENTIALS = [4100, 4500, 4504];

export class Connector {
  /** @type {"connecting" | "authenticating" | "connected" | "waiting" | "closed"} */
  state = "closed";
  /** What the server said last about this client and itself. @type {object | null} */
  welcome = null;
  /** The connection that said welcome. @type {Connection | null} */
  current = null;
  #url;
  #authentication;
  #listener;
  #backoff = new Backoff();
  #next = null; // the one that has yet to; beside the current one, it will replace it
  #attempt = null; // stands for the opening of the next connection, from its first step
  #timer = null;
  #due = 0;
  #connectedAt = 0;

  /**
   * @param {string | URL} url
   * @param {Authentication} authentication
   * @param {Listener} listener
   */
  constructor(url, authentication, listener) {
    this.#url = new URL(url, globalThis.location?.href);
    this.#url.protocol = this.#url.protocol.replace("http", "ws");
    this.#authentication = authentication;
    this.#listener = listener;
  }

  /** What `Client` promises, here and in the three that follow. */
  connect() {
    if (this.state !== "closed") return;
    globalThis.addEventListener?.("online", this.#online);
    globalThis.addEventListener?.("offline", this.#offline);
    this.#try();
  }

  close() {
    if (this.state !== "closed") this.#close({});
  }

  wake() {
    if (this.state === "waiting") this.#try();
  }

  interrupt(milliseconds) {
    this.current?.end(1006, "cut here", milliseconds);
  }

  async #try() {
    const attempt = (this.#attempt = {});
    clearTimeout(this.#timer);
    this.#timer = null;
    if (!this.current) this.#become("connecting");
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
      (message) => connection === this.current && this.#receive(message),
      (end) => this.#lost(connection, end),
    ));
    const deadline = setTimeout(() => connection.end(1006, "no welcome in time"), GREETING_MS);
    try {
      await connection.opened;
      if (!this.current) this.#become("authenticating");
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
    const old = this.current;
    this.current = connection;
    this.#next = this.#attempt = null;
    this.#connectedAt = performance.now();
    this.welcome = welcome;
    old?.retire();
    this.#listener.changed(connection);
    this.#become("connected", { moved: old !== null });
  }

  #lost(connection, end) {
    if (connection === this.#next) {
      this.#next = this.#attempt = null;
    } else if (connection === this.current) {
      this.current = null;
      if (performance.now() - this.#connectedAt >= GOOD_MS) this.#backoff.reset();
      this.#listener.changed(null);
    } else return;
    this.#again(end);
  }

  /** See to it that there is an attempt to come, unless the end is final. */
  #again(end) {
    const another = ABOUT_CREDENTIALS.includes(end.code) && this.#authentication.refused(end.code);
    const final = isFinal(end.code) && !another;
    if (final && this.current) return; // no replacement then: the current one may live on
    if (final) return this.#close(end);
    if (!this.#attempt && !this.#timer) this.#schedule(this.#backoff.next(end.retryAfter));
    if (this.current) return;
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
    const connections = [this.current, this.#next];
    this.current = this.#next = this.#attempt = this.#timer = null;
    connections.forEach((connection) => connection?.end(1000, "closed here"));
    globalThis.removeEventListener?.("online", this.#online);
    globalThis.removeEventListener?.("offline", this.#offline);
    this.#listener.changed(null);
    this.#become("closed", end);
  }

  #receive(message) {
    if (message.type === "reconnect") this.#move(message);
    else if (message.type === "expiring") this.#refresh(this.current);
    else this.#listener.receive(message);
  }

  #move({ reason, after_ms: delay }) {
    if (this.#attempt) return;
    this.#schedule(delay);
    this.#listener.tell("moving", { reason, delay });
  }

  /** Go on with another credential; a refusal is final, and the connection ends with the old one. */
  async #refresh(connection) {
    const backoff = new Backoff();
    while (connection === this.current) {
      try {
        const how = await this.#authentication.refresh(connection);
        if (how) this.#listener.tell("renewed", {});
        const stays = how !== "elsewhere" || connection !== this.current;
        if (!stays && !this.#attempt) this.#schedule(0);
        return;
      } catch (error) {
        if (error instanceof CommandError && !error.retryable) return;
        await sleep(backoff.next(error.retryAfter));
      }
    }
  }

  #online = () => this.wake();

  /** The browser may be wrong, or the server on this machine: ask before giving up. */
  #offline = () => this.current?.probe(PROBE_MS);

  #become(state, detail = {}) {
    this.state = state;
    this.#listener.tell("state", { state, ...detail });
  }
}
