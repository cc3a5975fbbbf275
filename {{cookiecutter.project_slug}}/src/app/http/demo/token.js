// What all that show a token share; each way to show it is a subclass.

/** @implements {import("./connector.js").Authentication} */
export class TokenAuthentication {
  #signIn;

  /** @param {import("./sign_in.js").SignIn} signIn gets the token */
  constructor(signIn) {
    this.#signIn = signIn;
  }

  /** What proves this user over HTTP, as a Bearer token; null where the browser shows it unasked. */
  get token() {
    return this.#signIn.token;
  }

  /** Be signed in, for a little while to come at least. */
  async open(url) {
    await this.#signIn.ready();
    return url;
  }

  async authenticate(connection) {
    const welcome = await this.greet(connection);
    this.#signIn.accepted();
    return welcome;
  }

  /** Be welcome, by what the handshake showed. */
  greet(connection) {
    return connection.welcome;
  }

  async refresh(connection) {
    if (!(await this.#signIn.renew())) return null;
    const how = await this.show(connection);
    if (how === "renewed") this.#signIn.accepted();
    return how;
  }

  /** Go on with another token on a connection. */
  async show(connection) {
    await connection.request({ type: "refresh", token: await this.proof() });
    return "renewed";
  }

  /** What proves this user on the wire. */
  async proof() {
    return this.token;
  }

  refused(code) {
    return this.#signIn.refused(code);
  }
}
