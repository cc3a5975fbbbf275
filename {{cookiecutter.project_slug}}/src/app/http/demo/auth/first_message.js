// Signs in a made-up user, and sends the token as the first message of every connection.

import { CommandError, randomKey } from "../client.js";

const STORED = "credentials";
const SOON_MS = 30_000;
const SIGN_IN_MS = 10_000;

export class Authentication {
  #ask;
  #fresh = false;

  /** @param {() => Promise<string>} ask gets a token from the user, where nobody signs in here */
  constructor(ask) {
    this.#ask = ask;
  }

  /** What proves this user over HTTP, as a Bearer token. */
  get token() {
    return this.#stored.token;
  }

  /** Have a token that will last a little while. */
  async open(url) {
    const { token, expires = Infinity } = this.#stored;
    if (!token || expires < Date.now() + SOON_MS) await this.#signIn();
    return url;
  }

  async authenticate(connection) {
    const welcome = await connection.request({ type: "auth", token: this.token });
    this.#fresh = false;
    return welcome;
  }

  /** Try another token, unless the one that was refused was new. */
  refused() {
    const { pasted } = this.#stored;
    this.#store({ token: undefined, expires: undefined });
    return pasted || !this.#fresh;
  }

  async #signIn() {
    const { username = madeUpName(), password = randomKey() } = this.#stored;
    this.#store({ username, password });
    const body = new URLSearchParams({ grant_type: "password", username, password });
    const signal = AbortSignal.timeout(SIGN_IN_MS);
    const response = await fetch("/auth/token", { method: "POST", body, signal });
    if (response.ok) {
      const { access_token: token, expires_in } = await response.json();
      this.#store({ token, expires: Date.now() + expires_in * 1000, pasted: false });
    } else if (response.status === 403 || response.status === 404) {
      this.#store({ token: await this.#ask(), expires: undefined, pasted: true });
    } else {
      const retry_after_ms = Number(response.headers.get("Retry-After")) * 1000 || undefined;
      throw new CommandError({ code: "unavailable", message: "sign-in failed", retry_after_ms });
    }
    this.#fresh = true;
  }

  get #stored() {
    return JSON.parse(sessionStorage.getItem(STORED) ?? "{}");
  }

  #store(changes) {
    sessionStorage.setItem(STORED, JSON.stringify({ ...this.#stored, ...changes }));
  }
}

const COLOURS = "Amber Azure Coral Ivory Jade Lilac Ochre Olive Ruby Teal".split(" ");
const ANIMALS = "Badger Crane Finch Heron Lynx Marten Otter Raven Seal Wren".split(" ");

function madeUpName() {
  const [colour, animal, number] = crypto.getRandomValues(new Uint32Array(3));
  return `${COLOURS[colour % 10]} ${ANIMALS[animal % 10]} ${10 + (number % 90)}`;
}
