// Signs in a made-up user, or asks for a token, and stays signed in: also after a reload.

import { CommandError, randomKey } from "./client.js";

const STORED = "credentials";
const SOON_MS = 30_000;
const ANSWER_MS = 10_000;

export class SignIn {
  #ask;
  #storage;
  #hand;
  #fresh = false;

  /**
   * @param {() => Promise<string>} ask gets a token from the user, where nobody signs in here
   * @param {Storage} [storage] remembers who this is
   * @param {(token: string) => Promise<string | null>} [hand] hands a token over to whom it is
   *   for, and gives what this page is to keep of it
   */
  constructor(ask, storage = sessionStorage, hand = async (token) => token) {
    this.#ask = ask;
    this.#storage = storage;
    this.#hand = hand;
  }

  /** What is kept of the token; null where that is nothing. */
  get token() {
    return this.#stored.token ?? null;
  }

  /** Be signed in, for a little while to come at least. */
  async ready() {
    const { token, expires = Infinity } = this.#stored;
    if (token === undefined || expires < Date.now() + SOON_MS) await this.#signIn();
  }

  /** Sign in anew before the token ends; false where that would take the user. */
  async renew() {
    if (this.#stored.pasted) return false;
    await this.#signIn();
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
    const { pasted } = this.#stored;
    this.#store({ token: undefined, expires: undefined });
    return code !== 4504 && (pasted || !this.#fresh);
  }

  async #signIn() {
    const { username = madeUpName(), password = randomKey() } = this.#stored;
    this.#store({ username, password });
    const body = new URLSearchParams({ grant_type: "password", username, password });
    const answer = await fetchAs("/auth/token", { body });
    this.#fresh = true;
    if (answer.ok) {
      const { access_token, expires_in } = await answer.json();
      const expires = Date.now() + expires_in * 1000;
      this.#store({ token: await this.#hand(access_token), expires, pasted: false });
    } else if (answer.status === 403 || answer.status === 404) {
      this.#store({ pasted: true });
      this.#store({ token: await this.#hand(await this.#ask()), expires: undefined });
    } else throw refusal(answer);
  }

  get #stored() {
    return JSON.parse(this.#storage.getItem(STORED) ?? "{}");
  }

  #store(changes) {
    this.#storage.setItem(STORED, JSON.stringify({ ...this.#stored, ...changes }));
  }
}

/** What the service answers whom a token proves; rejects with a CommandError where it refuses. */
export async function post(path, token) {
  const answer = await fetchAs(path, { headers: { Authorization: `Bearer ${token}` } });
  if (!answer.ok) throw refusal(answer);
  return answer.json();
}

const fetchAs = (path, options) =>
  fetch(path, { method: "POST", signal: AbortSignal.timeout(ANSWER_MS), ...options });

function refusal({ status, statusText, headers }) {
  const refused = { code: "unauthenticated", message: statusText };
  if (status === 401 || status === 403) return new CommandError(refused);
  const retry_after_ms = Number(headers.get("Retry-After")) * 1000 || undefined;
  const message = `sign-in failed (${status})`;
  return new CommandError({ code: "unavailable", message, retryable: true, retry_after_ms });
}

const COLOURS = "Amber Azure Coral Ivory Jade Lilac Ochre Olive Ruby Teal".split(" ");
const ANIMALS = "Badger Crane Finch Heron Lynx Marten Otter Raven Seal Wren".split(" ");

function madeUpName() {
  const [colour, animal, number] = crypto.getRandomValues(new Uint32Array(3));
  return `${COLOURS[colour % 10]} ${ANIMALS[animal % 10]} ${10 + (number % 90)}`;
}
