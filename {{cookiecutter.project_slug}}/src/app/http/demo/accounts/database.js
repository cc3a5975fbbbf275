// Signs people in by accounts of this service: those they have, or one that is made up for them.

import { askForAccount, showAccount } from "../account.js";
import { randomKey } from "../client.js";
import { askForToken } from "../dialog.js";
import { madeUpName, passwordForm, refusal, send, SignIn } from "../sign_in.js";
import { inTurn } from "../turns.js";

const ENDED = "Your session has ended.";
const SIGNED_OUT = "You are signed out.";

/**
 * How people get in: whether they may register, and whether somebody is made up for who has not
 * said a name; null where their tokens come from elsewhere.
 * @typedef {{registration: boolean, made_up: boolean} | null} Offer
 */

/** @param {Offer} offer */
export const openSignIn = (offer) => new AccountSignIn(offer, askForAccount, askForToken);

/** Show who is signed in, and the way out. */
export const attend = (client, signIn) => signIn.offer && showAccount(client, signIn);

/**
 * @typedef {(path: string, username: string, password: string) => Promise<Response | void>} Attempt
 *   signs in or registers at a path, or makes somebody up where that is empty; gives the answer
 *   that says no, if one does
 */
export class AccountSignIn extends SignIn {
  #askForAccount;
  #last = Promise.resolve();

  /**
   * @param {Offer} offer
   * @param {(offer: Offer, why: string, attempt: Attempt) => Promise<void>} askForAccount asks
   *   until an attempt is good; `why` says what became of the session before
   * @param {() => Promise<string>} askForToken
   */
  constructor(offer, askForAccount, askForToken) {
    super(askForToken);
    this.offer = offer;
    this.#askForAccount = askForAccount;
  }

  /** Whether nobody said who this is. */
  get madeUp() {
    return this.stored.password !== undefined;
  }

  async signIn() {
    if (!this.offer) return this.paste();
    if (await this.#alone(() => this.#unasked())) return;
    const attempt = (...said) => this.#alone(() => this.#attempt(...said));
    await this.#askForAccount(this.offer, this.stored.out ?? "", attempt);
  }

  async renew() {
    if (this.stored.pasted) return false;
    const { refresh } = this.stored;
    return this.#alone(() => this.stored.refresh !== refresh || this.#goOn());
  }

  /** End this session on the service, with all its connections; who comes next is asked. */
  signOut() {
    return this.#alone(async () => {
      if (this.good || (await this.#refresh())) {
        const headers = this.token ? { Authorization: `Bearer ${this.token}` } : {};
        const answer = await send("/auth/session", { method: "DELETE", headers });
        if (!answer.ok && answer.status !== 401) throw refusal(answer);
      }
      this.stored = { out: SIGNED_OUT };
    });
  }

  async keep(token) {
    // At once, whatever comes of the rest: the refresh token before this one is good no more.
    this.store({ refresh: token.refresh_token, out: undefined });
    await super.keep(token);
  }

  /** Be signed in without anybody's help; false if that cannot be. */
  async #unasked() {
    if (this.good || (await this.#goOn())) return true;
    if (!this.offer.made_up || this.stored.out) return false;
    await this.#makeUp();
    return true;
  }

  /** Get another token for the same user; false if the user has to say the password. */
  async #goOn() {
    const { username, password } = this.stored;
    if (await this.#refresh()) return true;
    return this.madeUp && this.#get("/auth/token", passwordForm(username, password), 401);
  }

  async #refresh() {
    const { refresh: refresh_token } = this.stored;
    if (!refresh_token) return false;
    if (await this.#get("/auth/refresh", json({ refresh_token }), 401)) return true;
    this.store({ refresh: undefined, out: this.madeUp ? undefined : ENDED });
    return false;
  }

  /** Register somebody; who was made up before, unless that name is taken. */
  async #makeUp() {
    let { username = madeUpName(), password = randomKey() } = this.stored;
    this.store({ username, password });
    while (!(await this.#get("/auth/register", json({ username, password }), 409))) {
      username = madeUpName();
      this.store({ username });
    }
  }

  async #attempt(path, username, password) {
    if (!path) return this.#makeUp();
    const registers = path === "/auth/register";
    const said = registers ? json({ username, password }) : passwordForm(username, password);
    const answer = await send(path, said);
    if (!answer.ok) return answer;
    this.store({ username: undefined, password: undefined });
    await this.keep(await answer.json());
  }

  /** Keep what the service gives; false if it answers with the status that says no. */
  async #get(path, options, no) {
    const answer = await send(path, options);
    if (answer.status === no) return false;
    if (!answer.ok) throw refusal(answer);
    await this.keep(await answer.json());
    return true;
  }

  /** Do one thing at a time, over all tabs where they may share what is kept: a refresh token is
   * good once, and used again, as by a thief, it ends the session. */
  #alone(work) {
    const next = () => (this.storage === localStorage ? inTurn(work) : work());
    return (this.#last = this.#last.then(next, next));
  }
}

const json = (body) => ({
  headers: { "Content-Type": "application/json" },
  body: JSON.stringify(body),
});
