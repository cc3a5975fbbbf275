// What all ways to sign in share: what is kept, also over a reload, and what a user pasted.

import { CommandError } from "./client.js";

const STORED = "credentials";
const SOON_MS = 30_000;
const ANSWER_MS = 10_000;

/** Each way to get a token is a subclass, in `accounts/`, with a `signIn()` that keeps one. */
export class SignIn {
  /** Remembers who this is. @type {Storage} */
  storage = sessionStorage;
  /**
   * Hands a token over to whom it is for, and gives what this page is to keep of it.
   * @type {(token: string) => Promise<string | null>}
   */
  hand = async (token) => token;
  #askForToken;
  #fresh = false;

  /** @param {() => Promise<string>} askForToken asks the user, where nobody signs in here */
  constructor(askForToken) {
    this.#askForToken = askForToken;
  }

  /** What is kept of the token; null where that is nothing. */
  get token() {
    return this.stored.token ?? null;
  }

  /** Whether there is a token, and for a little while to come. */
  get good() {
    const { token, expires = Infinity } = this.stored;
    return token !== undefined && expires >= Date.now() + SOON_MS;
  }

  /** Be signed in, for a little while to come at least. */
  async ready() {
    if (!this.good) await this.signIn();
  }

  /** Sign in anew before the token ends; false where that would take the user. */
  async renew() {
    if (this.stored.pasted) return false;
    await this.signIn();
    return true;
  }

  /** The service knows who this is. */
  accepted() {
    this.#fresh = false;
  }

  /**
   * Forget the token. Another one may do, unless the one that was refused was new; whoever was
   * sent away stays away, and signs in anew when asked to connect.
   */
  refused(code) {
    const { pasted } = this.stored;
    this.store({ token: undefined, expires: undefined });
    return code !== 4504 && (pasted || !this.#fresh);
  }

  /** Use what the user has from elsewhere. */
  async paste() {
    this.#fresh = true;
    this.store({ pasted: true });
    this.store({ token: await this.hand(await this.#askForToken()), expires: undefined });
  }

  /** Use what the service gave. */
  async keep({ access_token, expires_in }) {
    this.#fresh = true;
    const expires = Date.now() + expires_in * 1000;
    this.store({ token: await this.hand(access_token), expires, pasted: false });
  }

  get stored() {
    return JSON.parse(this.storage.getItem(STORED) ?? "{}");
  }

  set stored(all) {
    this.storage.setItem(STORED, JSON.stringify(all));
  }

  store(changes) {
    this.stored = { ...this.stored, ...changes };
  }
}

/** What the service answers whom a token proves; rejects with a CommandError where it refuses. */
export async function post(path, token) {
  const answer = await send(path, { headers: { Authorization: `Bearer ${token}` } });
  if (!answer.ok) throw refusal(answer);
  return answer.json();
}

/** A request that is answered in time. */
export const send = (path, options) =>
  fetch(path, { method: "POST", signal: AbortSignal.timeout(ANSWER_MS), ...options });

/** What a form of OAuth2 says of a name and a password. */
export const passwordForm = (username, password) => ({
  body: new URLSearchParams({ grant_type: "password", username, password }),
});

/** What an answer that is none says. */
export function refusal({ status, statusText, headers }) {
  const refused = { code: "unauthenticated", message: statusText };
  if (status === 401 || status === 403) return new CommandError(refused);
  const retry_after_ms = Number(headers.get("Retry-After")) * 1000 || undefined;
  const message = `sign-in failed (${status})`;
  return new CommandError({ code: "unavailable", message, retryable: true, retry_after_ms });
}

const COLOURS = "Amber Azure Coral Ivory Jade Lilac Ochre Olive Ruby Teal".split(" ");
const ANIMALS = "Badger Crane Finch Heron Lynx Marten Otter Raven Seal Wren".split(" ");

export function madeUpName() {
  const [colour, animal, number] = crypto.getRandomValues(new Uint32Array(3));
  return `${COLOURS[colour % 10]} ${ANIMALS[animal % 10]} ${10 + (number % 90)}`;
}
