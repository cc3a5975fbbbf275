// One WebSocket from its opening to its end: messages, replies by id, and the server's heartbeat.

import { Pace } from "./pace.js";

/** A command that was refused, or that got no answer; `retryable` says whether to ask again. */
export class CommandError extends Error {
  constructor({ code, message = code, retryable = false, retry_after_ms, field }) {
    super(message);
    this.name = "CommandError";
    /** One of the error codes of the protocol, or `disconnected`, or `closed`. */
    this.code = code;
    this.retryable = retryable;
    /** Milliseconds to wait first, where the server said so. */
    this.retryAfter = retry_after_ms;
    this.field = field;
  }
}

/**
 * Whether a client stays away after this close code. The ranges suffice, for codes to come too:
 * 4500-4999 are final, and of the standard codes those that blame what this client sent.
 * @param {number} code
 */
export function isFinal(code) {
  return code >= 4500 || code === 1002 || code === 1003 || (code >= 1007 && code <= 1010);
}

const REPLY_MS = 15_000; // longer than the server's own limit, so that its answer comes first

/** @typedef {{code: number, reason: string, retryAfter?: number}} End why a connection ended */

export class Connection {
  #socket;
  #push;
  #ended;
  #pending = new Map();
  #pace = new Pace();
  #lastId = 0;
  #lastHeard = 0;
  #heartbeat;
  #retryAfter; // what the server said last, if that was to stay away for a while
  #mostBytes = Infinity;
  #retired = false;
  #over = false;

  /**
   * @param {URL} url
   * @param {(message: object) => void} push takes what the server says unasked
   * @param {(end: End) => void} ended is called once
   */
  constructor(url, push, ended) {
    this.#push = push;
    this.#ended = ended;
    /** Settled when the socket is open, or failed to open. */
    this.opened = promise();
    /** The first `welcome` that comes unasked. */
    this.welcome = promise();
    this.#socket = new WebSocket(url, ["v1.json"]);
    this.#socket.onopen = () => this.opened.resolve();
    this.#socket.onmessage = ({ data }) => this.#receive(JSON.parse(data));
    this.#socket.onclose = ({ code, reason }) => this.#finish(code, reason);
  }

  /** Send a command to which no reply is expected. */
  send(command) {
    const text = JSON.stringify(command);
    this.#pace.turn().then(() => this.#write(text));
  }

  /**
   * Send a command and wait for its one reply.
   * @param {object} command
   * @param {(reply: object) => void} [take] sees the reply before any message that follows it
   * @returns {Promise<object>} rejects with a CommandError
   */
  request(command, take = () => {}) {
    const id = ++this.#lastId;
    const text = JSON.stringify({ ...command, id });
    const asked = { reply: promise(), take, timer: null };
    this.#pending.set(id, asked);
    const send = () => {
      const late = { id, type: "error", code: "timeout", retryable: true };
      asked.timer = setTimeout(() => this.#settle(late), REPLY_MS);
      this.#write(text);
    };
    // The server would end the connection for good.
    const fits = text.length * 3 <= this.#mostBytes || bytes(text) <= this.#mostBytes;
    if (!fits) this.#settle({ id, type: "error", code: "too_large", message: "this is too large" });
    else if (command.type === "subscribe") send(); // these have a budget of their own: all at once
    else this.#pace.turn().then(send);
    return asked.reply;
  }

  /** Hear no more, and close once the replies that are still due have come. */
  retire() {
    this.#retired = true;
    if (this.#pending.size === 0) this.end(1000, "replaced by another connection");
  }

  /** End now, without waiting for the other side. */
  end(code, reason, retryAfter = this.#retryAfter) {
    this.#retryAfter = retryAfter;
    this.#socket.onopen = this.#socket.onmessage = this.#socket.onclose = null;
    this.#socket.close();
    this.#finish(code, reason);
  }

  /** Ask for a sign of life, and end the connection if none comes in time. */
  probe(milliseconds) {
    const asked = performance.now();
    this.#write(JSON.stringify({ type: "ping" }));
    setTimeout(() => this.#lastHeard < asked && this.end(1006, "no sign of life"), milliseconds);
  }

  #write(text) {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(text);
  }

  #receive(message) {
    this.#lastHeard = performance.now();
    // What refuses one command, such as its rate, says nothing about another connection.
    const unasked = message.type === "error" && message.id === undefined;
    this.#retryAfter = unasked ? message.retry_after_ms : undefined;
    if (message.type === "welcome") this.#greet(message);
    if (message.type === "ping") this.#write(JSON.stringify({ type: "pong" }));
    if (message.id !== undefined) this.#settle(message);
    else if (!this.#retired) this.#push(message);
  }

  #greet(welcome) {
    const { interval_ms, timeout_ms } = welcome.heartbeat;
    this.#mostBytes = welcome.limits?.message_bytes ?? Infinity;
    this.#pace.limit(welcome.limits?.commands_per_second, welcome.limits?.commands_burst);
    clearTimeout(this.#heartbeat);
    this.#listen(interval_ms + timeout_ms);
    if (welcome.id === undefined) this.welcome.resolve(welcome);
  }

  /** End the connection after so much silence; one timer, not one per message. */
  #listen(most) {
    const silence = performance.now() - this.#lastHeard;
    if (silence >= most) this.end(1006, "the server is silent");
    else this.#heartbeat = setTimeout(() => this.#listen(most), most - silence);
  }

  #settle(message) {
    const asked = this.#pending.get(message.id);
    if (asked === undefined) return;
    this.#pending.delete(message.id);
    clearTimeout(asked.timer);
    if (message.type === "error") asked.reply.reject(new CommandError(message));
    else {
      asked.take(message);
      asked.reply.resolve(message);
    }
    if (this.#retired) this.retire();
  }

  #finish(code, reason) {
    if (this.#over) return;
    this.#over = true;
    clearTimeout(this.#heartbeat);
    const error = new CommandError({ code: "disconnected", message: reason, retryable: true });
    for (const { reply, timer } of this.#pending.values()) {
      clearTimeout(timer);
      reply.reject(error);
    }
    this.#pending.clear();
    this.opened.reject(error);
    this.welcome.reject(error);
    this.#ended({ code, reason, retryAfter: this.#retryAfter });
  }
}

const bytes = (text) => new TextEncoder().encode(text).length;

/** A promise that is settled from outside; nobody has to be waiting when it fails. */
function promise() {
  let settle;
  const made = new Promise((resolve, reject) => (settle = { resolve, reject }));
  made.catch(() => {});
  return Object.assign(made, settle);
}
