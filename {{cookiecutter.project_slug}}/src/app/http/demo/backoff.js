// How long to wait before trying again: full jitter, doubling from half a second to twenty.

/** Delays drawn at random below a rising ceiling, so that many clients do not come back at once. */
export class Backoff {
  #first;
  #most;
  #ceiling;
  #random;

  /** @param {{first?: number, most?: number, random?: () => number}} [options] milliseconds */
  constructor({ first = 500, most = 20_000, random = Math.random } = {}) {
    this.#first = this.#ceiling = first;
    this.#most = most;
    this.#random = random;
  }

  /**
   * @param {number} [least] what the server asked for: of many who were told the same, too, not all
   *   come back at once
   * @returns {number} milliseconds to wait before the next attempt
   */
  next(least = 0) {
    const delay = least + this.#random() * this.#ceiling;
    this.#ceiling = Math.min(this.#ceiling * 2, this.#most);
    return delay;
  }

  /** Begin again at the first delay, after things went well. */
  reset() {
    this.#ceiling = this.#first;
  }
}

/** @param {number} milliseconds */
export const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
