// Spreads commands, so that the server takes them all.

import { sleep } from "./backoff.js";

const MARGIN = 0.8; // of what the server allows: what arrives together was not sent so

/** So many commands at once, then so many a second; without bounds until the server told. */
export class Pace {
  #interval = 0;
  #ahead = 0;
  #fullAt = 0;
  #last = Promise.resolve();

  /** Take what the server allows. */
  limit(perSecond = Infinity, burst = 1) {
    this.#interval = 1000 / (MARGIN * perSecond);
    this.#ahead = Math.max(1, MARGIN * burst) * this.#interval;
  }

  /** Wait until the next command may be sent; who asks first is first. */
  turn() {
    return (this.#last = this.#last.then(() => this.#wait()));
  }

  #wait() {
    const now = performance.now();
    this.#fullAt = Math.max(this.#fullAt, now) + this.#interval;
    const wait = this.#fullAt - now - this.#ahead;
    return wait > 0 ? sleep(wait) : undefined;
  }
}
